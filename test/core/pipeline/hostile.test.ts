/** What a call meets of hostile functions, policies, clocks and callers: nothing is lost, leaked or told twice. */
import {
  AbortScope,
  type Context,
  circuitBreaker,
  concurrencyLimiter,
  dynamicTimeout,
  type Gate,
  hedge,
  type Next,
  type Policy,
  pipeline,
  rateLimiter,
  retry,
  runGate,
  waitUntil,
  workPermits,
} from 'evenkeel';
import { type ManualClock, manualClock } from 'evenkeel/testing';
import { beforeEach, describe, expect, it } from 'vitest';
import { noUnhandledRejections } from '../../unhandled-rejections.js';

noUnhandledRejections();

let clock: ManualClock;
beforeEach(() => {
  clock = manualClock();
});

const never = new Promise<never>(() => {});
const timeout = (ms: number): Policy => dynamicTimeout({ limitMs: ms, maxMs: ms, clock });
const again = (): Policy => retry({ backoff: () => 0, budget: [], maxRetries: 1, clock });
const plain = (policy: Policy): Policy => ({ name: 'plain', clock, run: (ctx, next) => policy.run(ctx, next) });
const limiter = () => concurrencyLimiter({ load: () => 1, minLimit: 10, maxLimit: 10, clock });

/** Counts what it admitted and what of that was released. */
class Counting implements Gate {
  readonly name = 'counting';
  readonly reason = 'concurrency_limited';
  readonly clock = clock;
  readonly holds = workPermits();
  admitted = 0;
  released = 0;
  answers = 0;
  tryAcquire(): boolean {
    this.admitted++;
    return true;
  }
  answered(): void {
    this.answers++;
  }
  release(): void {
    this.released++;
  }
  retryAfterMs = (): number => 0;
  run<C extends Context, R>(ctx: C, next: Next<C, R>): Promise<R> {
    return runGate(this, ctx, next);
  }
}

const STACKS: [string, (gate: Gate) => Policy[]][] = [
  ['alone', (gate) => [gate]],
  ['around a time limit', (gate) => [gate, timeout(50)]],
  ['inside a time limit', (gate) => [timeout(50), gate]],
  ['in a retry', (gate) => [again(), gate, timeout(50)]],
  ['hidden', (gate) => [plain(gate), plain(timeout(50))]],
  ['around a hedge', (gate) => [gate, hedge({ afterMs: 10, budget: [], clock })]],
];

/** An object with a `then` of its own, which is what is hostile about it. */
const withThen = <T extends object>(object: T, then: unknown): T => Object.assign(object, { ['then' as string]: then });

type Then = (onValue: (value: unknown) => void, onError: (error: unknown) => void) => void;

const callsBackThrice =
  (value: unknown): Then =>
  (onValue, onError) => {
    onValue(value);
    onValue('another value');
    onError(new Error('and an error'));
  };
const thrice = (value: unknown): Promise<unknown> => withThen(Promise.resolve(value), callsBackThrice(value));

class Odd<T> extends Promise<T> {}
const RESULTS: [string, () => unknown, unknown][] = [
  ['a native promise with a `then` that calls back thrice', () => thrice('value'), 'value'],
  ['a thenable that calls back thrice', () => withThen({}, callsBackThrice('value')), 'value'],
  [
    'a thenable that calls back and throws',
    () =>
      withThen({}, (onValue: (value: unknown) => void) => {
        onValue('value');
        throw new Error('after');
      }),
    'value',
  ],
  ['a frozen promise', () => Object.freeze(Promise.resolve('value')), 'value'],
  ['a promise of a class of its own', () => Odd.resolve('value'), 'value'],
  ['a function with a `then`', () => withThen(() => {}, callsBackThrice('value')), 'value'],
];
const FAILURES: [string, () => unknown][] = [
  [
    'a `then` that throws',
    () =>
      Object.defineProperty({}, 'then', {
        get() {
          throw new Error('hostile');
        },
      }),
  ],
  [
    'a throw before the first await',
    () => {
      throw new Error('hostile');
    },
  ],
  [
    'a thenable that fails twice',
    () =>
      withThen({}, (_: unknown, onError: (error: unknown) => void) => {
        onError(new Error('hostile'));
        onError(new Error('once more'));
      }),
  ],
];

describe.each(STACKS)('what a function returns, with a gate %s', (_, stack) => {
  describe.each(['no signal', 'signal', 'scope'] as const)('%s', (by) => {
    const signal = () =>
      by === 'signal' ? new AbortController().signal : by === 'scope' ? new AbortScope() : undefined;

    it.each(RESULTS)('%s', async (_, result, value) => {
      const gate = new Counting();
      const call = pipeline(...stack(gate)).execute(result, { signal: signal() });
      await expect(clock.settle(call)).resolves.toBe(value);
      expect(gate.released).toBe(gate.admitted);
    });

    it.each(FAILURES)('%s', async (_, result) => {
      const gate = new Counting();
      const call = pipeline(...stack(gate)).execute(result, { signal: signal() });
      await expect(clock.settle(call)).rejects.toThrow('hostile');
      expect(gate.released).toBe(gate.admitted);
    });
  });
});

it.each([
  ['a retry', () => [again(), timeout(50)]],
  ['a hedge', () => [hedge({ afterMs: 10, budget: [], clock })]],
] as [string, () => Policy[]][])(
  'an answer that settles thrice does not end the work of another try: %s',
  async (_, stack) => {
    const gate = new Counting();
    const guard = pipeline(gate, ...stack());
    const call = guard.execute((ctx) => (ctx.attempt === 0 ? never : thrice('second')));
    await expect(clock.settle(call)).resolves.toBe('second');
    expect([gate.answers, gate.released]).toEqual([1, 0]);
    await clock.advance(30_000);
    expect(gate.released).toBe(1);
  },
);

describe('a policy that calls next', () => {
  it.each([
    [
      'twice at once',
      async (ctx: Context, next: Next<Context, unknown>) => (await Promise.all([next(ctx), next(ctx)]))[0],
    ],
    [
      'twice, one after the other',
      async (ctx: Context, next: Next<Context, unknown>) => next(ctx).then(() => next(ctx)),
    ],
    [
      'after its end',
      async (ctx: Context, next: Next<Context, unknown>) => {
        clock.setTimer(() => void next(ctx), 5);
        return next(ctx);
      },
    ],
    [
      'for a second time while the first hangs',
      async (ctx: Context, next: Next<Context, unknown>) => {
        void next(ctx);
        return next(ctx);
      },
    ],
  ])('%s', async (_, run) => {
    for (const stack of [
      (outer: Gate, own: Policy, inner: Gate) => [outer, own, inner],
      (outer: Gate, own: Policy, inner: Gate) => [outer, own, inner, timeout(50)],
      (outer: Gate, own: Policy, inner: Gate) => [again(), outer, own, again(), inner, timeout(50)],
    ]) {
      const outer = new Counting();
      const inner = new Counting();
      let calls = 0;
      const own: Policy = { name: 'own', clock, run: run as Policy['run'] };
      const call = pipeline(...stack(outer, own, inner)).execute(() => {
        calls++;
        return calls;
      });
      expect(await clock.settle(call)).toBeTypeOf('number');
      await clock.advance(40_000);
      expect([calls, inner.admitted, inner.released]).toEqual([2, 2, 2]);
      expect([outer.admitted, outer.released]).toEqual([1, 1]);
    }
  });
});

describe('an abort from within', () => {
  const from: [string, (abort: () => void) => Policy[]][] = [
    [
      'tryAcquire',
      (abort) => {
        const gate = new Counting();
        gate.tryAcquire = () => {
          abort();
          return true;
        };
        return [gate];
      },
    ],
    ['an observer of a breaker', (abort) => [circuitBreaker({ clock, observer: abort })]],
    [
      'a budget',
      (abort) => [
        retry({ clock, budget: { onRequest: abort, tryRetry: () => true, onRetryDone: () => {} }, backoff: () => 0 }),
      ],
    ],
    [
      'the observer of a time limit',
      (abort) => [again(), dynamicTimeout({ limitMs: 5, maxMs: 5, clock, observer: abort })],
    ],
    [
      'the observer of a retry',
      (abort) => [retry({ clock, budget: [], backoff: () => 0, observer: abort }), timeout(5)],
    ],
    [
      'retryOn',
      (abort) => [
        retry({
          clock,
          budget: [],
          backoff: () => 0,
          retryOn: () => {
            abort();
            return true;
          },
        }),
        timeout(5),
      ],
    ],
    ['the observer of a hedge', (abort) => [hedge({ afterMs: 2, budget: [], clock, observer: abort })]],
    [
      'classify',
      (abort) => [
        again(),
        rateLimiter({
          limit: 9,
          windowMs: 9,
          clock,
          classify: () => {
            abort();
            return 'failure';
          },
        }),
        timeout(5),
      ],
    ],
  ];
  describe.each(from)('of %s', (_, make) => {
    it.each([
      ['side by side', (outer: Policy, own: Policy[], inner: Policy) => [outer, ...own, inner]],
      ['hidden', (outer: Policy, own: Policy[], inner: Policy) => [outer, ...own, inner].map(plain)],
    ])('%s: permits are released, and nobody is sent after it', async (_, stack) => {
      for (const deaf of [true, false]) {
        for (const caller of [new AbortController(), new AbortScope()]) {
          const outer = new Counting();
          const inner = new Counting();
          const own = make(() => caller.abort(new Error('from within')));
          let sentAfter = 0;
          const signal: AbortSignal | AbortScope = caller instanceof AbortController ? caller.signal : caller;
          const call = pipeline(...stack(outer, own, inner)).execute(
            (ctx) => {
              if (signal.aborted) sentAfter++;
              if (deaf) return never;
              return new Promise((_, reject) => ctx.signal.addEventListener('abort', () => reject(ctx.signal.reason)));
            },
            { signal },
          );
          call.catch(() => {});
          await clock.advance(20);
          expect(sentAfter).toBe(0);
          caller.abort(new Error('from without'));
          // What `classify` says of a time-out comes too late to change that.
          await expect(clock.settle(call)).rejects.toThrow(/from with|gave up/);
          await clock.advance(40_000);
          expect([outer.released, inner.released]).toEqual([outer.admitted, inner.admitted]);
          expect(clock.waiting).toBe(0);
        }
      }
    });
  });

  it('as the answer comes, whose body never ends: the permit is written off', async () => {
    const gate = new Counting();
    const caller = new AbortScope();
    const aborts: Policy = {
      name: 'aborts',
      clock,
      run: async (ctx, next) => {
        const answer = await next(ctx);
        caller.abort(new Error('from within'));
        return answer;
      },
    };
    const call = pipeline(gate, aborts).execute((ctx) => waitUntil(ctx, never), { signal: caller });
    await clock.settle(call);
    await clock.advance(29_999);
    expect(gate.released).toBe(0);
    await clock.advance(1);
    expect(gate.released).toBe(1);
  });

  it('before the call: nothing is asked', async () => {
    const gate = new Counting();
    const signal = AbortSignal.abort(new Error('early'));
    await expect(pipeline(again(), gate, timeout(5)).execute(() => 1, { signal })).rejects.toThrow('early');
    expect(gate.admitted).toBe(0);
  });
});

describe('a context that outlives its call', () => {
  it('has its signal read late: it is linked to nothing that is over', async () => {
    const caller = new AbortController();
    let kept: Context | undefined;
    const call = pipeline(timeout(50)).execute(
      (ctx) => {
        kept = ctx;
        return {};
      },
      { signal: caller.signal },
    );
    await clock.settle(call);
    expect(kept?.signal.aborted).toBe(false);
    caller.abort();
    expect(() => kept?.signal).not.toThrow();
  });

  it('of a call that timed out, tells so however late it is asked', async () => {
    let kept: Context | undefined;
    const call = pipeline(timeout(50)).execute((ctx) => {
      kept = ctx;
      return never;
    });
    await expect(clock.settle(call)).rejects.toThrow('50 ms');
    expect(kept?.signal.aborted).toBe(true);
    expect(kept?.signal.reason).toMatchObject({ timeoutMs: 50 });
  });

  it('may be used for other calls, and be told of bodies when all is over', async () => {
    const gate = new Counting();
    let kept: Context | undefined;
    const guard = pipeline(gate, timeout(50));
    await clock.settle(
      guard.execute((ctx) => {
        kept = ctx;
      }),
    );
    for (let i = 0; i < 3; i++) await clock.settle(guard.execute(() => i, kept));
    waitUntil(kept as Context, Promise.reject(new Error('too late')));
    waitUntil(kept as Context, never);
    await expect(clock.settle(guard.execute(() => 'again', kept))).resolves.toBe('again');
    await clock.advance(40_000);
    expect([gate.admitted, gate.released]).toEqual([5, 5]);
  });
});

describe('a broken clock', () => {
  it.each([
    ['falls back', (broken: ManualClock) => broken.jump(-10_000)],
    ['jumps ahead', (broken: ManualClock) => broken.jump(10_000)],
  ])('that %s while calls are under way', async (_, jump) => {
    const gate = new Counting();
    const limit = limiter();
    const guard = pipeline(gate, again(), limit, timeout(50));
    const calls = Array.from({ length: 20 }, (_, i) =>
      guard
        .execute(async (ctx) => {
          if (i % 3 === 0) return never;
          if (i % 3 === 1) await new Promise((resolve) => clock.setTimer(() => resolve(1), 20));
          if (i === 10) jump(clock);
          return ctx.attempt;
        })
        .catch((error: unknown) => error),
    );
    await clock.settle(Promise.all(calls));
    await clock.advance(100_000);
    expect([gate.admitted, gate.released, limit.snapshot().inflight]).toEqual([20, 20, 0]);
    expect(clock.waiting).toBe(0);
  });

  it('that says NaN now and then loses no permit and no caller', async () => {
    let reads = 0;
    const broken = {
      now: () => (++reads % 4 === 0 ? NaN : clock.now()),
      setTimer: (fn: () => void, ms: number) => clock.setTimer(fn, Number.isNaN(ms) ? 0 : ms),
      clearTimer: (timer: unknown) => clock.clearTimer(timer),
    };
    const gate: Counting & { clock: unknown } = Object.assign(new Counting(), { clock: broken as never });
    const guard = pipeline(gate, dynamicTimeout({ limitMs: 50, maxMs: 50, clock: broken }));
    const calls = Array.from({ length: 40 }, (_, i) =>
      guard.execute(() => (i % 3 === 0 ? never : i)).catch((error: unknown) => error),
    );
    await clock.settle(Promise.all(calls));
    await clock.advance(200_000);
    expect(gate.released).toBe(gate.admitted);
  });
});
