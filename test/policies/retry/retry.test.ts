import { AsyncLocalStorage } from 'node:async_hooks';
import {
  type Context,
  circuitBreaker,
  concurrencyLimiter,
  deadline,
  defaultRetryOn,
  derive,
  dynamicTimeout,
  earlierErrors,
  isTimeout,
  type Policy,
  pipeline,
  type Reason,
  RejectedError,
  type ResilienceEvent,
  type RetryBudget,
  type RetryOptions,
  rateLimiter,
  retry,
  retryWindow,
} from 'evenkeel';
import { type ManualClock, manualClock, seededRandom } from 'evenkeel/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RecordingGate } from '../../simulation/recording-gate.js';
import { noUnhandledRejections } from '../../unhandled-rejections.js';

noUnhandledRejections();

function setUp(options: RetryOptions = {}, ...inner: ((clock: ManualClock) => Policy)[]) {
  const clock = manualClock();
  const events: ResilienceEvent[] = [];
  const policy = retry({
    clock,
    backoff: () => 100,
    observer: (event) => events.push(event),
    ...options,
  });
  return { clock, events, policy, guard: pipeline(policy, ...inner.map((make) => make(clock))) };
}

const settled = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    (value) => ({ value }),
    (error: unknown) => ({ error }),
  );

/** Ends the n-th try as the n-th of `ends` says, and notes when it began. */
function script(clock: ManualClock, ...ends: (() => unknown)[]) {
  const tries: { attempt: number; at: number; startedAt: number }[] = [];
  const fn = (ctx: Context): unknown => {
    tries.push({ attempt: ctx.attempt, at: clock.now(), startedAt: ctx.startedAt });
    return (ends[tries.length - 1] ?? ends.at(-1))?.();
  };
  return { fn, tries };
}
const throws = (error: unknown) => (): never => {
  throw error;
};
const rejects = (error: unknown) => (): Promise<never> => Promise.reject(error);
const refusal = (reason: Reason, retryAfterMs = 0): RejectedError =>
  new RejectedError({ policy: 'inner', reason, retryAfterMs });

describe('a call', () => {
  it('that succeeds is tried once', async () => {
    const { clock, events, guard, policy } = setUp();
    const { fn, tries } = script(clock, () => 'fine');
    expect(await guard.execute(fn)).toBe('fine');
    expect(tries).toHaveLength(1);
    expect([events, policy.snapshot(), clock.waiting]).toEqual([[], { retries: 0, exhausted: 0 }, 0]);
  });

  it('that fails is tried again after the wait, as the next attempt, which begins then', async () => {
    const { clock, events, guard, policy } = setUp({ maxRetries: 3 });
    clock.jump(7);
    const { fn, tries } = script(clock, throws(new Error('a')), rejects(new Error('b')), () => 'third');
    const answer = guard.execute(fn);
    await clock.advance(199);
    expect(tries).toHaveLength(2);
    await clock.advance(1);
    expect(await answer).toBe('third');
    expect(tries).toEqual([
      { attempt: 0, at: 7, startedAt: 7 },
      { attempt: 1, at: 107, startedAt: 107 },
      { attempt: 2, at: 207, startedAt: 207 },
    ]);
    expect(events).toEqual([
      { type: 'retry', policy: 'retry', at: 7, attempt: 1, delayMs: 100 },
      { type: 'retry', policy: 'retry', at: 107, attempt: 2, delayMs: 100 },
    ]);
    expect(policy.snapshot()).toEqual({ retries: 2, exhausted: 0 });
    expect(clock.waiting).toBe(0);
  });

  it('is tried maxRetries times more, one by default, and rejects with the last error as it is', async () => {
    for (const maxRetries of [undefined, 0, 1, 4]) {
      const { clock, guard } = setUp(maxRetries === undefined ? {} : { maxRetries });
      const errors = [0, 1, 2, 3, 4].map((n) => Object.freeze(new Error(`${n}`)));
      const { fn, tries } = script(clock, ...errors.map(throws));
      const end = settled(guard.execute(fn));
      await clock.advance(1_000);
      const last = maxRetries ?? 1;
      expect(await end).toEqual({ error: errors[last] });
      expect(earlierErrors(errors[last])).toEqual(errors.slice(0, last));
      expect(tries).toHaveLength(last + 1);
    }
  });

  it('may be the second try of another retry: attempts add up', async () => {
    const { clock, guard } = setUp();
    const { fn, tries } = script(clock, throws(1), () => 2);
    const answer = guard.execute(fn, { attempt: 5 });
    await clock.advance(100);
    await answer;
    expect(tries.map(({ attempt }) => attempt)).toEqual([5, 6]);
  });

  it.each([undefined, null, 0, '', 'text', Symbol('s'), 5n, () => {}])('may reject with %s', async (error) => {
    for (const how of [throws, rejects]) {
      const { clock, guard } = setUp();
      const { fn, tries } = script(clock, how(error));
      const end = settled(guard.execute(fn));
      await clock.advance(100);
      expect(await end).toEqual({ error });
      expect(tries).toHaveLength(2);
      expect(earlierErrors(error)).toEqual(typeof error === 'function' ? [error] : []);
    }
  });

  it('that succeeds at last has no earlier errors to show, nor has one that was tried once', async () => {
    expect(earlierErrors(new Error('never seen'))).toEqual([]);
    const { clock, guard } = setUp({ maxRetries: 0 });
    const error = new Error('once');
    expect(await settled(guard.execute(script(clock, throws(error)).fn))).toEqual({ error });
    expect(earlierErrors(error)).toEqual([]);
  });

  it('that rejects with what another call has before shows its own earlier errors, and none after one try', async () => {
    const error = new Error('shared');
    const { clock, guard } = setUp();
    const end = settled(guard.execute(throws(error)));
    await clock.advance(100);
    await end;
    expect(earlierErrors(error)).toEqual([error]);
    await settled(setUp({ maxRetries: 0 }).guard.execute(throws(error)));
    expect(earlierErrors(error)).toEqual([]);
  });

  it('by hand, of a `next` that throws at once, is tried again all the same', async () => {
    const policy = retry({ backoff: () => 0 });
    const ctx = await pipeline().execute((given) => given);
    let calls = 0;
    const end = policy.run(ctx, () => {
      if (calls++ === 0) throw new Error('at once');
      return Promise.resolve('fine');
    });
    expect(await end).toBe('fine');
  });

  it('keeps the context of async hooks in each try', async () => {
    const { clock, guard } = setUp();
    const store = new AsyncLocalStorage<string>();
    const seen: unknown[] = [];
    const call = (name: string): Promise<unknown> =>
      store.run(name, () =>
        settled(
          guard.execute((ctx) => {
            seen.push([ctx.attempt, store.getStore()]);
            throw new Error('no');
          }),
        ).then(() => seen.push(['end', store.getStore()])),
      );
    const both = Promise.all([call('a'), call('b')]);
    await clock.advance(100);
    await both;
    expect(seen).toEqual([
      [0, 'a'],
      [0, 'b'],
      [1, 'a'],
      ['end', 'a'],
      [1, 'b'],
      ['end', 'b'],
    ]);
  });

  it('of 100,000 tries without a wait neither fills the stack nor the memory', async () => {
    const { guard } = setUp({ window: [], maxRetries: 100_000, backoff: () => 0 });
    expect(await guard.execute((ctx) => (ctx.attempt < 100_000 ? Promise.reject(0) : 'done'))).toBe('done');
  });
});

describe('what is not tried again', () => {
  const PASSING: Reason[] = ['rate_limited', 'concurrency_limited'];
  const STAYING: Reason[] = [
    'circuit_open',
    'retry_exhausted',
    'tier_shed',
    'too_old',
    'deadline_exceeded',
    'no_instance',
  ];

  it.each([...PASSING, ...STAYING])('a refusal: %s', async (reason) => {
    const { clock, guard } = setUp();
    const { fn, tries } = script(clock, rejects(refusal(reason)));
    const end = settled(guard.execute(fn));
    await clock.advance(100);
    expect(await end).toMatchObject({ error: { reason } });
    expect(tries).toHaveLength(PASSING.includes(reason) ? 2 : 1);
    expect(defaultRetryOn(refusal(reason))).toBe(PASSING.includes(reason));
  });

  it('a refusal of a breaker further in, which tryExecute tells as a value', async () => {
    const { clock, events, guard } = setUp({ maxRetries: 5, window: [], backoff: () => 0 }, (inner) =>
      circuitBreaker({ clock: inner, random: () => 0, minRequests: 0, recovery: 'sre' }),
    );
    let reached = 0;
    const fail = (): never => {
      reached++;
      throw new Error('no');
    };
    await settled(guard.execute(fail));
    const before = { reached, events: events.length };
    expect(await guard.tryExecute(fail)).toEqual({
      ok: false,
      rejection: { policy: 'circuitBreaker', reason: 'circuit_open', retryAfterMs: expect.any(Number) },
    });
    expect({ reached, events: events.length }).toEqual(before);
    expect(clock.waiting).toBe(0);
  });

  it('what retryOn does not want; it is asked with the context of the call', async () => {
    const seen: unknown[] = [];
    const { clock, guard } = setUp({
      maxRetries: 5,
      retryOn: (error, ctx) => {
        seen.push([error, ctx.key]);
        return error !== 404;
      },
    });
    const { fn, tries } = script(clock, throws(503), throws(404));
    const end = settled(guard.execute(fn, { key: 'ann' }));
    await clock.advance(1_000);
    expect(await end).toEqual({ error: 404 });
    expect(tries).toHaveLength(2);
    expect(seen).toEqual([
      [503, 'ann'],
      [404, 'ann'],
    ]);
  });

  it('what classify says is well, or tells nothing', async () => {
    for (const verdict of ['success', 'ignored'] as const) {
      const { clock, guard } = setUp({ classify: () => verdict });
      const { fn, tries } = script(clock, throws('no such user'));
      expect(await settled(guard.execute(fn))).toEqual({ error: 'no such user' });
      expect(tries).toHaveLength(1);
    }
  });

  it('past the deadline: neither where the wait would end at it, nor where it went by', async () => {
    for (const [deadlineMs, jumpMs, tried] of [
      [100, 0, 1],
      [100.1, 0, 2],
      [150, 110, 1],
      [160, 110, 1],
    ] as const) {
      const { clock, events, guard, policy } = setUp();
      const { fn, tries } = script(clock, throws('no'));
      const end = settled(guard.execute(fn, { deadline: deadlineMs }));
      await clock.advance(50);
      clock.jump(jumpMs);
      await clock.advance(100);
      expect(await end).toEqual({ error: 'no' });
      expect(tries).toHaveLength(tried);
      expect(policy.snapshot().retries).toBe(tried - 1);
      expect(events).toHaveLength(deadlineMs === 100 ? 0 : 1);
    }
  });

  it('what the budget does not allow, at once and with an event', async () => {
    const { clock, events, guard, policy } = setUp({
      window: { onRequest() {}, tryRetry: () => false, onRetryDone() {} },
    });
    const { fn, tries } = script(clock, throws('no'));
    expect(await settled(guard.execute(fn))).toEqual({ error: 'no' });
    expect(tries).toHaveLength(1);
    expect(events).toEqual([{ type: 'retry_exhausted', policy: 'retry', at: 0, attempt: 1 }]);
    expect(policy.snapshot()).toEqual({ retries: 0, exhausted: 1 });
  });
});

/** `signal`, and how many listeners it has. */
function counted(signal: AbortSignal): { signal: AbortSignal; listeners: () => number } {
  const { addEventListener, removeEventListener } = signal;
  let listeners = 0;
  signal.addEventListener = (...args: [never, never]) => {
    listeners++;
    addEventListener.apply(signal, args);
  };
  signal.removeEventListener = (...args: [never, never]) => {
    listeners--;
    removeEventListener.apply(signal, args);
  };
  return { signal, listeners: () => listeners };
}

describe('an abort of the caller', () => {
  it('ends the wait at once with its reason, and leaves neither timer nor listener', async () => {
    const { clock, guard } = setUp();
    const { fn, tries } = script(clock, throws('no'));
    const caller = new AbortController();
    const { signal, listeners } = counted(caller.signal);
    const end = settled(guard.execute(fn, { signal }));
    await clock.advance(50);
    expect([clock.waiting, listeners()]).toEqual([1, 1]);
    const reason = Object.freeze({ left: true });
    caller.abort(reason);
    expect(await end).toEqual({ error: reason });
    expect(((await end) as { error: unknown }).error).toBe(reason);
    expect([clock.waiting, listeners()]).toEqual([0, 0]);
    await clock.advance(1_000);
    expect(tries).toHaveLength(1);
  });

  it('leaves no listener either where none comes', async () => {
    const { clock, guard } = setUp({ maxRetries: 5 });
    const caller = new AbortController();
    const { signal, listeners } = counted(caller.signal);
    const end = settled(guard.execute(script(clock, throws('no')).fn, { signal }));
    await clock.advance(1_000);
    await end;
    expect(listeners()).toBe(0);
  });

  it('in the middle of a try ends the call, whatever retryOn says', async () => {
    const { clock, guard } = setUp({ retryOn: () => true });
    const caller = new AbortController();
    const { fn, tries } = script(clock, () => new Promise(() => {}));
    const end = settled(guard.execute(fn, { signal: caller.signal }));
    await clock.advance(10);
    caller.abort('enough');
    expect(await end).toEqual({ error: 'enough' });
    await clock.advance(1_000);
    expect(tries).toHaveLength(1);
  });

  it('by the function itself, or by the observer, starts nothing more', async () => {
    for (const who of ['function', 'observer', 'backoff']) {
      const caller = new AbortController();
      const abort = (name: string): void => void (who === name && caller.abort(who));
      const { clock, guard } = setUp({
        observer: () => abort('observer'),
        backoff: () => {
          abort('backoff');
          return 100;
        },
      });
      const { fn, tries } = script(clock, () => {
        abort('function');
        throw new Error('no');
      });
      const end = settled(guard.execute(fn, { signal: caller.signal }));
      await clock.advance(0);
      expect(await end).toHaveProperty('error');
      await clock.advance(1_000);
      expect([tries.length, clock.waiting]).toEqual([1, 0]);
    }
  });

  it('by the observer, where there is no wait, takes no permit of a gate further in', async () => {
    const caller = new AbortController();
    const gate = new RecordingGate('gate', manualClock());
    const { guard } = setUp({ clock: gate.clock, backoff: () => 0, observer: () => caller.abort('gone') }, () => gate);
    expect(await settled(guard.execute(throws('no'), { signal: caller.signal }))).toEqual({ error: 'gone' });
    expect(gate.verdicts).toEqual(['failure']);
  });

  it('that came before the call starts nothing', async () => {
    const { clock, guard } = setUp();
    const { fn, tries } = script(clock, throws('no'));
    expect(await settled(guard.execute(fn, { signal: AbortSignal.abort('gone') }))).toEqual({ error: 'gone' });
    expect(tries).toHaveLength(0);
  });
});

describe('with other policies', () => {
  it('gives a time limit further in to each try, and tries again what has timed out', async () => {
    const { clock, guard } = setUp({}, (inner) => dynamicTimeout({ limitMs: 50, maxMs: 50, clock: inner }));
    const { fn, tries } = script(clock, () => new Promise(() => {}));
    const end = settled(guard.execute(fn));
    await clock.advance(200);
    expect(isTimeout(((await end) as { error: unknown }).error)).toBe(true);
    expect(tries.map(({ at }) => at)).toEqual([0, 150]);
  });

  it('is ended by a time limit further out, also in its wait', async () => {
    const clock = manualClock();
    const guard = pipeline(dynamicTimeout({ limitMs: 50, maxMs: 50, clock }), retry({ clock, backoff: () => 100 }));
    const { fn, tries } = script(clock, throws('no'));
    const end = settled(guard.execute(fn));
    await clock.advance(50);
    expect(isTimeout(((await end) as { error: unknown }).error)).toBe(true);
    await clock.advance(1_000);
    expect([tries.length, clock.waiting]).toEqual([1, 0]);
  });

  it('waits as long as a rate limit further in says, and gets through then', async () => {
    const { clock, guard } = setUp({ backoff: () => 0 }, (inner) =>
      rateLimiter({ limit: 1, windowMs: 1_000, algorithm: 'log', clock: inner }),
    );
    await guard.execute(() => 1);
    clock.jump(300);
    const answer = guard.execute((ctx) => [ctx.attempt, clock.now()]);
    await clock.advance(1_000);
    expect(await answer).toEqual([1, 1_000]);
  });

  it('gives back each permit of each try', async () => {
    const limiter = (inner: ManualClock) => concurrencyLimiter({ clock: inner, load: () => 1 });
    const { guard, clock } = setUp({ maxRetries: 3, window: [] }, limiter);
    const end = settled(guard.execute(throws('no')));
    await clock.advance(1_000);
    await end;
    expect((guard.policies[1] as ReturnType<typeof limiter>).snapshot().inflight).toBe(0);
  });

  it('hands on the deadline and the key, and no more', async () => {
    const { clock, guard } = setUp({}, (inner) => deadline({ clock: inner, marginMs: 0 }));
    const seen: unknown[] = [];
    const end = settled(
      guard.execute(
        (ctx) => {
          seen.push([ctx.deadline, ctx.key, ctx.tier, ctx.receivedAt]);
          throw new Error('no');
        },
        { deadline: 500, key: 'k', tier: 1 },
      ),
    );
    await clock.advance(200);
    await end;
    expect(seen).toEqual([
      [500, 'k', 1, 0],
      [500, 'k', 1, 0],
    ]);
  });
});

it('a clock that breaks while a call is under way: no retry, and its own error', async () => {
  const base = manualClock();
  for (const breaksIn of ['retryOn', 'backoff', 'observer']) {
    let broken = false;
    const breaks = (where: string): boolean => {
      broken ||= where === breaksIn;
      return true;
    };
    const clock = {
      now: () => (broken ? NaN : base.now()),
      setTimer: (fn: () => void, ms: number) => base.setTimer(fn, ms),
      clearTimer: (timer: unknown) => base.clearTimer(timer),
    };
    const { guard } = setUp({
      clock,
      retryOn: () => breaks('retryOn'),
      backoff: () => Number(!breaks('backoff')),
      observer: () => breaks('observer'),
    });
    expect(await settled(guard.execute(throws('no'))), breaksIn).toEqual({ error: 'no' });
  }
});

describe('an answer that classify takes for a failure', () => {
  const badStatus: RetryOptions['classify'] = (outcome) =>
    outcome.ok && (outcome.value as { status: number }).status < 500 ? 'success' : 'failure';

  it('is tried again, and is the answer where nothing better comes', async () => {
    const { clock, guard } = setUp({ classify: badStatus, maxRetries: 2 });
    const { fn, tries } = script(clock, () => ({ status: 503 }));
    const answer = guard.execute(fn);
    await clock.advance(200);
    expect(await answer).toEqual({ status: 503 });
    expect(tries).toHaveLength(3);
    const better = guard.execute(
      script(
        clock,
        () => ({ status: 503 }),
        () => ({ status: 200 }),
      ).fn,
    );
    await clock.advance(100);
    expect(await better).toEqual({ status: 200 });
  });

  it('is not what classify takes for none: that is tried once', async () => {
    for (const classify of [badStatus, () => 'ignored' as const]) {
      const { clock, guard } = setUp({ classify });
      const { fn, tries } = script(clock, () => ({ status: 200 }));
      expect(await guard.execute(fn)).toEqual({ status: 200 });
      expect(tries).toHaveLength(1);
    }
  });

  it('is among the earlier errors of what fails after it', async () => {
    const { clock, guard } = setUp({ classify: badStatus });
    const error = new Error('reset');
    const end = settled(guard.execute(script(clock, () => ({ status: 503 }), throws(error)).fn));
    await clock.advance(100);
    await end;
    expect(earlierErrors(error)).toEqual([{ status: 503 }]);
  });
});

describe('the wait', () => {
  const waitAfter = async (error: unknown, options: RetryOptions = {}): Promise<number | undefined> => {
    const { clock, guard } = setUp(options);
    const { fn, tries } = script(clock, throws(error));
    const end = settled(guard.execute(fn));
    await clock.advance(1e6);
    await end;
    return tries[1]?.at;
  };

  it('is what the callee asks for where that is longer, and maxDelayMs at most', async () => {
    expect(await waitAfter({ retryAfterMs: 700 })).toBe(700);
    expect(await waitAfter({ retryAfterMs: 70 })).toBe(100);
    expect(await waitAfter(refusal('rate_limited', 2_500))).toBe(2_500);
    expect(await waitAfter({ response: { headers: { 'retry-after': '3' } } })).toBe(3_000);
    expect(await waitAfter({ retryAfterMs: Infinity })).toBe(10_000);
    expect(await waitAfter({ retryAfterMs: 5_000 }, { maxDelayMs: 1_000 })).toBe(1_000);
    expect(await waitAfter({}, { maxDelayMs: 30 })).toBe(30);
    expect(await waitAfter({}, { backoff: () => Infinity })).toBe(10_000);
    expect(await waitAfter({}, { maxDelayMs: 0 })).toBe(0);
  });

  it('may be read from elsewhere', async () => {
    expect(await waitAfter({ wait: 321 }, { retryAfter: (result) => (result as { wait: number }).wait })).toBe(321);
    expect(await waitAfter({ retryAfterMs: 700 }, { retryAfter: () => undefined })).toBe(100);
    // A header that is not there, taken for a number.
    expect(await waitAfter({}, { retryAfter: () => Number.NaN })).toBe(100);
  });

  it('comes from backoff with the number of the retry and the wait before', async () => {
    const seen: number[][] = [];
    const random = seededRandom(1);
    const { clock, guard } = setUp({
      maxRetries: 4,
      random,
      backoff: (retry, previousMs, given) => {
        expect(given).toBe(random);
        seen.push([retry, previousMs]);
        return retry * 10;
      },
    });
    const end = settled(guard.execute(throws({ retryAfterMs: 500 })));
    await clock.advance(10_000);
    await end;
    expect(seen).toEqual([
      [1, 0],
      [2, 10],
      [3, 20],
      [4, 30],
    ]);
  });

  it('that is no number fails the call, and takes no leave', async () => {
    for (const bad of [Number.NaN, -1, '5', undefined]) {
      const window = retryWindow({ clock: manualClock() });
      const { guard } = setUp({ window, clock: window.clock, backoff: () => bad as number });
      await expect(guard.execute(throws('no'))).rejects.toThrow(
        /^retry: the wait that backoff gives must be a number ≥ 0, got/,
      );
      expect(window.snapshot().used).toBe(0);
    }
  });
});

describe('what throws where it should not', () => {
  it('is what the call rejects with, and each leave is answered all the same', async () => {
    const wrong = new Error('broken');
    for (const broken of ['backoff', 'retryOn', 'retryAfter', 'classify'] as const) {
      const leave = { given: 0, answered: 0 };
      let asked = 0;
      const { clock, guard } = setUp({
        maxRetries: 3,
        window: { onRequest() {}, tryRetry: () => ++leave.given > 0, onRetryDone: () => void leave.answered++ },
        [broken]: () => {
          if (asked++ > 0) throw wrong;
          return { backoff: 1, retryOn: true, retryAfter: 1, classify: 'failure' }[broken];
        },
      });
      const end = settled(guard.execute(throws('no')));
      await clock.advance(1_000);
      expect(await end, broken).toEqual({ error: wrong });
      expect(earlierErrors(wrong)).toEqual(['no', 'no'].slice(broken === 'classify' ? 1 : 0));
      expect(leave).toEqual({ given: 1, answered: 1 });
    }
  });

  it('an observer’s error reaches the host, not the call', async () => {
    const seen: unknown[] = [];
    const listeners = process.listeners('uncaughtException');
    process.removeAllListeners('uncaughtException');
    process.on('uncaughtException', (error) => seen.push(error));
    try {
      const { clock, guard } = setUp({ observer: throws('observer') });
      const answer = guard.execute(script(clock, throws('no'), () => 'fine').fn);
      await clock.advance(100);
      expect(await answer).toBe('fine');
      expect(seen).toEqual(['observer']);
    } finally {
      process.removeAllListeners('uncaughtException');
      for (const listener of listeners) process.on('uncaughtException', listener);
    }
  });
});

it('asks and answers its budget by the rules, whatever happens', { timeout: 30_000 }, async () => {
  const outcome = fc.constantFrom('fine', 'throw', 'reject', 'refuse', 'hang', 'slow');
  const call = fc.record({
    atMs: fc.nat(3_000),
    outcomes: fc.array(outcome, { minLength: 1, maxLength: 5 }),
    abortAfterMs: fc.option(fc.nat(500), { nil: undefined }),
    budgetMs: fc.option(fc.nat(600), { nil: undefined }),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(call, { maxLength: 12 }), fc.infiniteStream(fc.boolean()), async (calls, leaves) => {
      const clock = manualClock();
      const budget = { requests: 0, firsts: 0, given: 0, answered: 0 };
      const window: RetryBudget = {
        onRequest: () => void budget.requests++,
        onFirstDone: () => void budget.firsts++,
        tryRetry() {
          const given = leaves.next().value as boolean;
          if (given) budget.given++;
          return given;
        },
        onRetryDone(ok) {
          expect([true, false, undefined]).toContain(ok);
          budget.answered++;
          expect(budget.answered).toBeLessThanOrEqual(budget.given);
        },
      };
      const guard = pipeline(
        retry({ clock, window, maxRetries: 3, random: seededRandom(1) }),
        dynamicTimeout({ limitMs: 200, maxMs: 200, clock }),
      );
      const ends: Promise<unknown>[] = [];
      for (const { atMs, outcomes, abortAfterMs, budgetMs } of calls) {
        clock.setTimer(() => {
          const caller = new AbortController();
          if (abortAfterMs !== undefined) clock.setTimer(() => caller.abort('left'), abortAfterMs);
          const until = budgetMs === undefined ? Infinity : clock.now() + budgetMs;
          let tries = 0;
          const one = guard.execute(
            (ctx) => {
              expect(ctx.attempt).toBe(tries);
              expect(ctx.startedAt).toBe(clock.now());
              expect(caller.signal.aborted).toBe(false);
              if (tries > 0) expect(clock.now()).toBeLessThan(until);
              const how = outcomes[tries++ % outcomes.length];
              if (how === 'throw') throw new Error('no');
              if (how === 'reject') return Promise.reject(new Error('no'));
              if (how === 'refuse') return Promise.reject(refusal('circuit_open'));
              if (how === 'hang') return new Promise<string>(() => {});
              if (how === 'slow') return new Promise<string>((resolve) => void clock.setTimer(() => resolve(''), 100));
              return 'fine';
            },
            { signal: caller.signal, deadline: until },
          );
          ends.push(settled(one));
        }, atMs);
      }
      await clock.advance(60_000);
      await Promise.all(ends);
      expect(ends).toHaveLength(calls.length);
      expect(budget.requests).toBe(calls.length);
      expect(budget.firsts).toBeLessThanOrEqual(calls.length);
      expect(budget.answered).toBe(budget.given);
      expect(clock.waiting).toBe(0);
    }),
    { numRuns: 60 },
  );
});

it('takes the verdict on a first try to its window, with classify or without', async () => {
  for (const [first, told] of [
    [() => 'fine', [true]],
    [throws('no'), [false]],
    [() => new Promise(() => {}), [false]],
    [rejects(refusal('circuit_open')), []],
  ] as const) {
    const byVerdict = { success: [true], failure: [false], dropped: [false], ignored: [] };
    for (const verdict of [undefined, 'success', 'failure', 'dropped', 'ignored'] as const) {
      const seen: unknown[] = [];
      const window = { onRequest() {}, onFirstDone: (ok: boolean) => void seen.push(ok), tryRetry: () => false };
      const { clock, guard } = setUp(
        {
          window: { ...window, onRetryDone() {} },
          ...(verdict === undefined ? {} : { classify: () => verdict }),
        },
        (inner) => dynamicTimeout({ limitMs: 50, maxMs: 50, clock: inner }),
      );
      const end = settled(guard.execute(script(clock, first).fn));
      await clock.advance(1_000);
      await end;
      expect(seen).toEqual(verdict === undefined ? told : byVerdict[verdict]);
    }
  }
});

it('takes the verdict on a retry to its window: a time-out is bad, a refusal and an abort say nothing', async () => {
  for (const [second, answered] of [
    [() => 'fine', [true]],
    [throws('no'), [false]],
    [() => new Promise(() => {}), [false]],
    [rejects(refusal('circuit_open')), [undefined]],
  ] as const) {
    const seen: unknown[] = [];
    const { clock, guard } = setUp(
      { window: { onRequest() {}, tryRetry: () => true, onRetryDone: (ok) => void seen.push(ok) } },
      (inner) => dynamicTimeout({ limitMs: 50, maxMs: 50, clock: inner }),
    );
    const end = settled(guard.execute(script(clock, throws('no'), second).fn));
    await clock.advance(1_000);
    await end;
    expect(seen).toEqual(answered);
  }
});

it('update: turns a running service, and calls in their wait heed it', async () => {
  const { clock, guard, policy } = setUp({ maxRetries: 10 });
  const { fn, tries } = script(clock, throws('no'));
  const end = settled(guard.execute(fn));
  await clock.advance(250);
  policy.update({ maxRetries: 0 });
  await clock.advance(1_000);
  await end;
  expect(tries).toHaveLength(4);
  expect(() => policy.update({ maxRetries: -1, maxDelayMs: 5 })).toThrow(RangeError);
  policy.update({ maxRetries: 1 });
  expect(await settled(guard.execute(() => 1))).toEqual({ value: 1 });
});

it('by default has a budget of its own: an outage gets a fifth more calls, and ten a second', async () => {
  const clock = manualClock();
  const guard = pipeline(retry({ clock, maxRetries: 5, backoff: () => 0 }));
  let reached = 0;
  for (let i = 0; i < 2_000; i++) {
    await guard.execute(() => Promise.reject(void reached++)).catch(() => {});
    clock.jump(10);
  }
  expect(reached / 2_000).toBeLessThan(1.36);
  expect(reached / 2_000).toBeGreaterThan(1.25);
});

it('a context is not changed by it', async () => {
  const { clock, guard } = setUp({ backoff: () => 0 });
  let first: Context | undefined;
  const answer = guard.execute((ctx) => {
    first ??= ctx;
    if (ctx === first) throw new Error('no');
    return [first.attempt, derive(ctx, {}).attempt, ctx.attempt];
  });
  await clock.advance(0);
  expect(await answer).toEqual([0, 1, 1]);
});
