/** The two moments of a call: its answer, and the end of its work. */
import {
  AbortScope,
  type Context,
  circuitBreaker,
  concurrencyLimiter,
  dynamicTimeout,
  type Gate,
  hedge,
  isRejected,
  isTimeout,
  type Policy,
  pipeline,
  type ResilienceEvent,
  rateLimiter,
  retry,
  runGate,
  type Verdict,
  workPermits,
} from 'evenkeel';
import { type ManualClock, manualClock } from 'evenkeel/testing';
import { beforeEach, describe, expect, it } from 'vitest';

let clock: ManualClock;
beforeEach(() => {
  clock = manualClock();
});

const never = new Promise<never>(() => {});
const timeout = (ms: number): Policy => dynamicTimeout({ limitMs: ms, maxMs: ms, clock });
const limiter = (maxLimit: number, abandonedMs?: number) =>
  concurrencyLimiter({
    load: () => 1,
    minLimit: 1,
    maxLimit,
    clock,
    ...(abandonedMs === undefined ? {} : { abandonedMs }),
  });
const again = (maxRetries = 1): Policy => retry({ backoff: () => 0, budget: [], maxRetries, clock });
/** Hides what it holds from the linker. */
const plain = (policy: Policy): Policy => ({ name: 'plain', clock, run: (ctx, next) => policy.run(ctx, next) });
const async: Policy = { name: 'async', run: async (ctx, next) => await next(ctx) };

/** Waits for its signal, in these ways. */
const HEEDING: [string, (ctx: Context) => Promise<never>][] = [
  [
    'a listener',
    (ctx) => new Promise((_, reject) => ctx.signal.addEventListener('abort', () => reject(ctx.signal.reason))),
  ],
  [
    'two async functions around, with finally',
    async (ctx) => {
      const inner = async (): Promise<never> => {
        try {
          return await new Promise<never>((_, reject) =>
            ctx.signal.addEventListener('abort', () => Promise.reject(new Error('x')).catch(reject)),
          );
        } finally {
          await null;
        }
      };
      try {
        return await inner();
      } finally {
        await null;
      }
    },
  ],
];

/** How many microtasks pass until `promise` settles. */
async function microtasksUntil(promise: Promise<unknown>): Promise<number> {
  let settled = false;
  promise.then(
    () => (settled = true),
    () => (settled = true),
  );
  let count = 0;
  for (; !settled && count < 1_000; count++) await null;
  return count;
}

describe('inside is settled before outside looks', () => {
  const stacks: [string, () => Policy[]][] = [
    ['side by side', () => [again(), timeout(50), limiter(1)]],
    ['an async policy between', () => [again(), timeout(50), async, limiter(1)]],
    ['the limiter hidden', () => [again(), timeout(50), plain(limiter(1))]],
    ['all hidden', () => [plain(again()), plain(timeout(50)), plain(limiter(1))]],
    ['the limiter around the time limit', () => [again(), limiter(1), timeout(50)]],
    ['with the retry hidden', () => [plain(again()), limiter(1), timeout(50)]],
  ];
  describe.each(stacks)('%s', (_, stack) => {
    it.each(HEEDING)('a first try that honours its signal by %s has released its permit', async (_, wait) => {
      const guard = pipeline(...stack());
      const call = guard.execute((ctx) => (ctx.attempt === 0 ? wait(ctx) : Promise.resolve('second')));
      await expect(clock.settle(call)).resolves.toBe('second');
    });

    it('a deaf one holds it', async () => {
      const guard = pipeline(...stack());
      const call = guard.execute((ctx) => (ctx.attempt === 0 ? never : Promise.resolve('second')));
      await expect(clock.settle(call)).rejects.toMatchObject({ reason: 'concurrency_limited' });
    });
  });

  it('with abandonedMs: 0 a deaf one does not hold it', async () => {
    const guard = pipeline(again(), timeout(50), limiter(1, 0));
    await expect(clock.settle(guard.execute((ctx) => (ctx.attempt === 0 ? never : 'second')))).resolves.toBe('second');
  });

  it.each(HEEDING)('the caller who aborts and calls again in his catch finds a permit (%s)', async (_, wait) => {
    for (const policies of [
      [limiter(1)],
      [hedge({ afterMs: 10, clock }), limiter(2)],
      [timeout(50), async, limiter(1)],
    ]) {
      const guard = pipeline(...policies);
      const caller = new AbortController();
      const call = guard
        .execute((ctx) => wait(ctx), { signal: caller.signal })
        .catch(() => Promise.all([guard.execute(() => 'again')]));
      await clock.advance(20);
      caller.abort(new Error('gone'));
      await expect(clock.settle(call)).resolves.toEqual(['again']);
    }
  });

  it('answers in the same host turn, a deaf function after 32 microtasks, one that honours the abort sooner', async () => {
    for (const by of ['signal', 'scope'] as const) {
      for (const policies of [
        [],
        [circuitBreaker({ clock })],
        [timeout(1e6)],
        [async],
        [limiter(1), async, timeout(1e6)],
      ]) {
        const caller = by === 'signal' ? new AbortController() : new AbortScope();
        const signal = caller instanceof AbortController ? caller.signal : caller;
        const deaf = pipeline(...policies).execute(() => never, { signal });
        await clock.advance(0);
        caller.abort(new Error('gone'));
        const microtasks = await microtasksUntil(deaf);
        expect(microtasks).toBeGreaterThanOrEqual(32);
        expect(microtasks).toBeLessThanOrEqual(32 + 12);
        await expect(deaf).rejects.toThrow('gone');
      }
    }
    const caller = new AbortController();
    const heeding = pipeline(timeout(1e6)).execute((HEEDING[0] as (typeof HEEDING)[0])[1], { signal: caller.signal });
    await clock.advance(0);
    caller.abort(new Error('gone'));
    expect(await microtasksUntil(heeding)).toBeLessThan(10);
  });

  it('a policy that is deaf itself keeps no caller waiting', async () => {
    const deaf: Policy = { name: 'deaf', run: () => never };
    for (const policies of [[deaf], [limiter(1), deaf], [timeout(1e6), limiter(1), deaf, async]]) {
      const caller = new AbortController();
      const call = pipeline(...policies).execute(() => 1, { signal: caller.signal });
      await clock.advance(0);
      caller.abort(new Error('gone'));
      expect(await microtasksUntil(call)).toBeLessThan(120);
      await expect(call).rejects.toThrow('gone');
    }
  });

  it('the outcome stays the time-out, also where the function answers as it is aborted', async () => {
    const call = pipeline(timeout(50)).execute(
      (ctx) => new Promise((resolve) => ctx.signal.addEventListener('abort', () => resolve('late'))),
    );
    await expect(clock.settle(call)).rejects.toSatisfy(isTimeout);
  });

  it('a pipeline inside the function is settled before the one around it', async () => {
    const inner = limiter(1);
    const within = pipeline(async, inner);
    const caller = new AbortController();
    const seen: number[] = [];
    const call = pipeline(circuitBreaker({ clock }))
      .execute((ctx) => within.execute((HEEDING[1] as (typeof HEEDING)[0])[1], ctx), { signal: caller.signal })
      .catch(() => seen.push(inner.snapshot().inflight));
    await clock.advance(0);
    caller.abort(new Error('gone'));
    await clock.settle(call);
    expect(seen).toEqual([0]);
  });
});

describe('what was sent is used', () => {
  it.each(['log', 'buckets', 'counter'] as const)('a call its caller aborts costs quota (%s)', async (algorithm) => {
    const guard = pipeline(rateLimiter({ limit: 5, windowMs: 60_000, algorithm, clock }));
    let begun = 0;
    for (let i = 0; i < 100; i++) {
      const caller = new AbortController();
      const call = guard.tryExecute(
        () => {
          begun++;
          return never;
        },
        { signal: caller.signal },
      );
      caller.abort();
      await call.catch(() => {});
    }
    expect(begun).toBe(5);
  });

  it('only what was not sent is refunded: by an admission, not by the call', async () => {
    const outer = rateLimiter({ limit: 10, windowMs: 1e6, clock });
    const inner = rateLimiter({ limit: 10, windowMs: 1e6, clock });
    const breaks: Gate = {
      name: 'breaks',
      reason: 'circuit_open',
      tryAcquire: (ctx) => ctx?.attempt === 0,
      release: () => {},
      retryAfterMs: () => 0,
      run: (ctx, next) => runGate(breaks, ctx, next),
    };
    const guard = pipeline(outer, again(), inner, breaks);
    const call = guard.execute(() => Promise.reject(new Error('first fails')));
    await expect(clock.settle(call)).rejects.toSatisfy(isRejected);
    expect([outer.snapshot().used, inner.snapshot().used]).toEqual([1, 1]);
  });

  it('the loser of a hedge was sent, also where it ends as ignored', async () => {
    const limit = rateLimiter({ limit: 10, windowMs: 1e6, clock });
    const guard = pipeline(hedge({ afterMs: 10, budget: [], clock }), limit);
    const call = guard.execute((ctx) => (ctx.attempt === 0 ? never : Promise.resolve('second')));
    await expect(clock.settle(call)).resolves.toBe('second');
    expect(limit.snapshot().used).toBe(2);
  });

  it('a throw before the first await was sent; a refusal further inside was not', async () => {
    const limit = rateLimiter({ limit: 10, windowMs: 1e6, clock, classify: () => 'ignored' });
    await pipeline(limit)
      .execute(() => {
        throw new Error('at once');
      })
      .catch(() => {});
    expect(limit.snapshot().used).toBe(1);
    const full = limiter(1);
    full.tryAcquire();
    await pipeline(limit, full)
      .execute(() => 1)
      .catch(() => {});
    expect(limit.snapshot().used).toBe(1);
  });

  it('by hand nobody knows, unless it is said', () => {
    const limit = rateLimiter({ limit: 10, windowMs: 1e6, clock });
    const ctx = { startedAt: 0 };
    limit.tryAcquire(ctx);
    limit.release('ignored', 1, ctx, { sent: true });
    expect(limit.snapshot().used).toBe(1);
    limit.tryAcquire(ctx);
    limit.release('ignored', 1, ctx);
    expect(limit.snapshot().used).toBe(1);
  });
});

/** Tells what it is called with. */
function holder(log: unknown[], extra: Partial<Gate> = {}): Gate {
  const gate: Gate = {
    name: 'holder',
    reason: 'concurrency_limited',
    holds: workPermits(),
    clock,
    tryAcquire: () => true,
    answered: (verdict, elapsedMs) => log.push(['answered', verdict, elapsedMs]),
    release: (verdict: Verdict, elapsedMs, _ctx, details) =>
      void log.push(['released', verdict, elapsedMs, ...(details?.abandoned ? ['abandoned'] : [])]),
    retryAfterMs: () => 0,
    run: (ctx, next) => runGate(gate, ctx, next),
    ...extra,
  };
  return gate;
}

describe('work that goes on keeps its permit', () => {
  const deferred = () => {
    let resolve!: (value: unknown) => void;
    let reject!: (error: unknown) => void;
    const promise = new Promise((...both) => {
      [resolve, reject] = both;
    });
    return { promise, resolve, reject };
  };

  it('no more at work than the limit, whatever the callers do', async () => {
    const guard = pipeline(limiter(3));
    let atWork = 0;
    for (let i = 0; i < 200; i++) {
      const caller = new AbortController();
      const call = guard.execute(
        () => {
          atWork++;
          return never;
        },
        { signal: caller.signal },
      );
      caller.abort();
      await call.catch(() => {});
    }
    expect(atWork).toBe(3);
  });

  it.each([
    ['the gate outside', (gate: Gate) => [gate, timeout(50)]],
    ['the gate inside', (gate: Gate) => [timeout(50), gate]],
    ['hidden', (gate: Gate) => [plain(gate), plain(timeout(50))]],
  ] as const)('a time-out counts at the answer, and the permit is released at the end: %s', async (_, stack) => {
    const log: unknown[] = [];
    const work = deferred();
    const call = pipeline(...(stack(holder(log)) as Policy[])).execute(() => work.promise);
    await expect(clock.settle(call)).rejects.toSatisfy(isTimeout);
    expect(log).toEqual([['answered', 'dropped', 50]]);
    await clock.advance(100);
    work.resolve(1);
    await clock.advance(0);
    expect(log).toEqual([
      ['answered', 'dropped', 50],
      ['released', 'dropped', 50],
    ]);
    await clock.advance(100_000);
    expect(log).toHaveLength(2);
  });

  it('a call its caller gave up counts as it truly ends', async () => {
    const log: unknown[] = [];
    const work = deferred();
    const caller = new AbortController();
    const call = pipeline(holder(log)).execute(() => work.promise, { signal: caller.signal });
    await clock.advance(10);
    caller.abort(new Error('gone'));
    await expect(clock.settle(call)).rejects.toThrow('gone');
    expect(log).toEqual([]);
    await clock.advance(70);
    work.resolve(1);
    await clock.advance(0);
    expect(log).toEqual([['released', 'success', 80]]);
  });

  it('an error after the abort says nothing', async () => {
    const log: unknown[] = [];
    const work = deferred();
    const caller = new AbortController();
    const call = pipeline(holder(log)).execute(() => work.promise, { signal: caller.signal });
    caller.abort(new Error('gone'));
    await call.catch(() => {});
    await clock.advance(40);
    work.reject(new Error('socket closed'));
    await clock.advance(0);
    expect(log).toEqual([['released', 'ignored', 40]]);
  });

  it('until all tries under the admission have ended, and the loser of a hedge', async () => {
    const log: unknown[] = [];
    const works = [deferred(), deferred()];
    const guard = pipeline(holder(log), again(), timeout(50));
    const call = guard.execute((ctx) =>
      ctx.attempt === 0 ? (works[0] as { promise: Promise<unknown> }).promise : 'second',
    );
    await expect(clock.settle(call)).resolves.toBe('second');
    expect(log).toEqual([['answered', 'success', 50]]);
    works[0]?.resolve(1);
    await clock.advance(0);
    expect(log).toEqual([
      ['answered', 'success', 50],
      ['released', 'success', 50],
    ]);
    log.length = 0;
    const hedged = pipeline(holder(log), hedge({ afterMs: 10, budget: [], clock }));
    const other = hedged.execute((ctx) =>
      ctx.attempt === 0 ? (works[1] as { promise: Promise<unknown> }).promise : 'second',
    );
    await expect(clock.settle(other)).resolves.toBe('second');
    expect(log).toEqual([['answered', 'success', 10]]);
    works[1]?.resolve(1);
    await clock.advance(0);
    expect(log).toHaveLength(2);
  });

  it('work that never ends is written off after abandonedMs, and told', async () => {
    const log: unknown[] = [];
    const caller = new AbortController();
    const call = pipeline(holder(log, { holds: workPermits({ abandonedMs: 1_000 }) })).execute(() => never, {
      signal: caller.signal,
    });
    caller.abort(new Error('gone'));
    await call.catch(() => {});
    await clock.advance(999);
    expect(log).toEqual([]);
    await clock.advance(1);
    expect(log).toEqual([['released', 'ignored', 0, 'abandoned']]);
    const events: ResilienceEvent[] = [];
    const limit = concurrencyLimiter({
      load: () => 1,
      minLimit: 1,
      maxLimit: 1,
      clock,
      observer: (event) => events.push(event),
    });
    await clock.settle(pipeline(limit, timeout(50)).execute(() => never)).catch(() => {});
    await clock.advance(29_999);
    expect(limit.snapshot().inflight).toBe(1);
    await clock.advance(1);
    expect(limit.snapshot().inflight).toBe(0);
    expect(events).toEqual([{ type: 'abandoned', policy: 'concurrencyLimiter', at: clock.now(), abandonedMs: 30_000 }]);
  });

  it('one timer for all, oldest first; Infinity needs none', async () => {
    const log: unknown[] = [];
    const guard = pipeline(holder(log, { holds: workPermits({ abandonedMs: 1_000 }) }), timeout(50));
    const works = Array.from({ length: 10 }, deferred);
    const calls = works.map(async (work, i) => {
      await new Promise<void>((resolve) => void clock.setTimer(resolve, i * 10));
      await guard.execute(() => work.promise).catch(() => {});
    });
    await clock.settle(Promise.all(calls));
    expect(clock.waiting).toBe(1);
    works[3]?.resolve(1);
    await clock.advance(950);
    expect(log.filter((entry) => (entry as unknown[])[0] === 'released')).toHaveLength(5);
    await clock.advance(10_000);
    expect(log.filter((entry) => (entry as unknown[])[0] === 'released')).toHaveLength(10);
    expect(clock.waiting).toBe(0);
    const forever = pipeline(holder(log, { holds: workPermits({ abandonedMs: Infinity }) }), timeout(50));
    await clock.settle(forever.execute(() => never)).catch(() => {});
    expect(clock.waiting).toBe(0);
  });

  it("a gate of one's own that does not declare it is released at the answer", async () => {
    const log: unknown[] = [];
    const gate = holder(log, { holds: undefined });
    await clock.settle(pipeline(gate, timeout(50)).execute(() => never)).catch(() => {});
    expect(log).toEqual([['released', 'dropped', 50]]);
  });

  it('by a call made inside the function, with its context', async () => {
    const log: unknown[] = [];
    const work = deferred();
    const within = pipeline(timeout(50));
    const call = pipeline(holder(log)).execute((ctx) => within.execute(() => work.promise, ctx).catch(() => 'instead'));
    await expect(clock.settle(call)).resolves.toBe('instead');
    expect(log).toEqual([['answered', 'success', 50]]);
    work.resolve(1);
    await clock.advance(0);
    expect(log).toHaveLength(2);
  });
});
