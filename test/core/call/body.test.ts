/** Answers that go on after the function has returned them. */
import { getEventListeners } from 'node:events';
import {
  AbortScope,
  balancer,
  type Context,
  concurrencyLimiter,
  dynamicTimeout,
  type Gate,
  hedge,
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

let clock: ManualClock;
beforeEach(() => {
  clock = manualClock();
});
const timeout = (ms: number): Policy => dynamicTimeout({ limitMs: ms, maxMs: ms, clock });

function deferred() {
  let resolve!: (value?: unknown) => void;
  let reject!: (error: unknown) => void;
  const promise = new Promise((...both) => {
    [resolve, reject] = both;
  });
  return { promise, resolve, reject };
}

function logging(log: unknown[], extra: Partial<Gate> = {}): Gate {
  const gate: Gate = {
    name: 'logging',
    reason: 'concurrency_limited',
    clock,
    tryAcquire: () => true,
    answered: (...told) => log.push(['answered', ...told.slice(0, 2)]),
    release: (verdict, elapsedMs, _ctx, details) =>
      log.push(['released', verdict, elapsedMs, ...(details?.abandoned ? ['abandoned'] : [])]),
    retryAfterMs: () => 0,
    run: (ctx, next) => runGate(gate, ctx, next),
    ...extra,
  };
  return gate;
}
const held = (holds: boolean): Partial<Gate> => (holds ? { holds: workPermits() } : {});
const plain = (policy: Policy): Policy => ({ name: 'plain', clock, run: (ctx, next) => policy.run(ctx, next) });

describe.each([
  ['of a gate alone', (gate: Gate): Policy[] => [gate]],
  ['with a time limit', (gate: Gate) => [gate, timeout(1_000)]],
  ['inside a time limit', (gate: Gate) => [timeout(1_000), gate]],
  ['with a retry', (gate: Gate) => [gate, retry({ clock, backoff: () => 0 }), timeout(1_000)]],
  ['hidden', (gate: Gate) => [plain(timeout(1_000)), plain(gate)]],
])('permits and the verdict wait for the body: %s', (_, stack) => {
  it.each([true, false])('the caller has the value at once (holds work: %s)', async (holds) => {
    const log: unknown[] = [];
    const body = deferred();
    const guard = pipeline(...stack(logging(log, held(holds))));
    const answer = guard.execute(async (ctx) => {
      waitUntil(ctx, body.promise);
      return 'answer';
    });
    await expect(clock.settle(answer)).resolves.toBe('answer');
    expect(log).toEqual([]);
    await clock.advance(5_000);
    body.resolve();
    await clock.advance(0);
    expect(log).toEqual([['released', 'success', 5_000]]);
    await clock.advance(100_000);
    expect(log).toHaveLength(1);
    expect(clock.waiting).toBe(0);
  });

  it('a body that breaks off is dropped', async () => {
    const log: unknown[] = [];
    const body = deferred();
    const answer = pipeline(...stack(logging(log))).execute(async (ctx) => waitUntil(ctx, body.promise));
    await clock.settle(answer);
    await clock.advance(20);
    body.reject(new Error('socket closed'));
    await clock.advance(0);
    expect(log).toEqual([['released', 'dropped', 20]]);
  });

  it('the caller gives up while it is read: ignored, and the permit waits for its end', async () => {
    for (const [holds, abort] of [
      [true, new AbortController()],
      [false, new AbortScope()],
    ] as const) {
      const log: unknown[] = [];
      const body = deferred();
      const guard = pipeline(...stack(logging(log, held(holds))));
      const signal = abort instanceof AbortController ? abort.signal : abort;
      await clock.settle(guard.execute(async (ctx) => waitUntil(ctx, body.promise), { signal }));
      const from = clock.now();
      await clock.advance(40_000);
      expect(log).toEqual([]);
      abort.abort(new Error('gone'));
      await clock.advance(10);
      if (!holds) {
        expect(log).toEqual([['released', 'ignored', clock.now() - from - 10]]);
        continue;
      }
      expect(log).toEqual([]);
      await clock.advance(29_989);
      expect(log).toEqual([]);
      await clock.advance(1);
      expect(log).toEqual([['released', 'ignored', 40_000, 'abandoned']]);
    }
  });

  it('a failure is judged at the answer, where a retry sees it', async () => {
    const log: unknown[] = [];
    const open = deferred();
    const classify = (outcome: { ok: boolean; value?: unknown }) => (outcome.value === 503 ? 'failure' : 'success');
    const guard = pipeline(...stack(logging(log, { classify: classify as never, ...held(true) })));
    const call = guard.execute(async (ctx) => {
      waitUntil(ctx, open.promise);
      return 503;
    });
    await expect(clock.settle(call)).resolves.toBe(503);
    expect(log).toEqual([['released', 'failure', 0]]);
  });
});

describe('waitUntil', () => {
  it('waits for all that was named, and for a call inside the function', async () => {
    const log: unknown[] = [];
    const bodies = [deferred(), deferred()];
    const within = pipeline(timeout(50));
    const call = pipeline(logging(log)).execute((ctx) =>
      within.execute(async (mine) => {
        for (const { promise } of bodies) waitUntil(mine, promise);
      }, ctx),
    );
    await clock.settle(call);
    bodies[1]?.resolve();
    await clock.advance(5);
    expect(log).toEqual([]);
    bodies[0]?.reject(new Error('x'));
    await clock.advance(0);
    expect(log).toEqual([['released', 'dropped', 5]]);
  });

  it('refuses what is no context and no promise', async () => {
    await pipeline().execute((ctx) => {
      expect(() => waitUntil(ctx, 5 as never)).toThrow('waitUntil: promise must be a promise, got 5');
      expect(() => waitUntil({ ...ctx }, Promise.resolve())).toThrow(TypeError);
      expect(() => waitUntil(undefined as never, Promise.resolve())).toThrow(TypeError);
    });
  });

  it('a quota is used, in flight counts until the end', async () => {
    const limit = concurrencyLimiter({ load: () => 1, minLimit: 1, maxLimit: 1, clock });
    const quota = rateLimiter({ limit: 5, windowMs: 1e6, clock });
    const body = deferred();
    const guard = pipeline(quota, limit);
    await clock.settle(guard.execute(async (ctx) => waitUntil(ctx, body.promise)));
    expect(limit.snapshot().inflight).toBe(1);
    body.resolve();
    await clock.advance(0);
    expect([limit.snapshot().inflight, quota.snapshot().used]).toEqual([0, 1]);
  });

  it('an instance is in flight until the body ends, and is judged by it', async () => {
    const picks = balancer({ instances: ['a'], clock, consecutiveFailures: 2 });
    const guard = pipeline(picks.policy());
    const inFlight = () => picks.snapshot().instances[0]?.inFlight;
    for (let i = 0; i < 2; i++) {
      const body = deferred();
      await clock.settle(guard.execute(async (ctx) => waitUntil(ctx, body.promise)));
      expect(inFlight()).toBe(1);
      body.reject(new Error('broken off'));
      await clock.advance(0);
      expect(inFlight()).toBe(0);
    }
    expect(picks.snapshot().instances[0]?.state).toBe('masked');
  });
});

describe('a signal that was handed out stays linked to the caller', () => {
  const stacks: [string, () => Policy[]][] = [
    ['a time limit', () => [timeout(1_000)]],
    ['two', () => [timeout(1_000), timeout(500)]],
    ['a hedge', () => [hedge({ afterMs: 10, clock })]],
    ['a hedge around a limit', () => [hedge({ afterMs: 10, clock }), timeout(500)]],
    ['gates and a limit', () => [concurrencyLimiter({ load: () => 1, clock }), timeout(500)]],
    ['a retry', () => [retry({ clock }), timeout(500)]],
  ];
  it.each(stacks)('%s: the abort comes after the function has returned', async (_, stack) => {
    for (const by of [new AbortController(), new AbortScope()]) {
      let seen: AbortSignal | undefined;
      const signal = by instanceof AbortController ? by.signal : by;
      const answer = pipeline(...stack()).execute(
        async (ctx: Context) => {
          seen = ctx.signal;
          return { body: true };
        },
        { signal },
      );
      await clock.settle(answer);
      await clock.advance(10_000);
      expect(seen?.aborted).toBe(false);
      by.abort('the user has left');
      expect(seen?.reason).toBe('the user has left');
    }
  });

  it('the time limit that is over does not abort it', async () => {
    let seen: AbortSignal | undefined;
    await clock.settle(
      pipeline(timeout(50)).execute(
        async (ctx) => {
          seen = ctx.signal;
          return {};
        },
        { signal: new AbortController().signal },
      ),
    );
    await clock.advance(1_000);
    expect(seen?.aborted).toBe(false);
  });

  it('a value that is no object leaves nothing on the signal, nor does one without a signal read', async () => {
    const caller = new AbortController();
    const guard = pipeline(timeout(50));
    await clock.settle(guard.execute(async (ctx) => ctx.signal.aborted, { signal: caller.signal }));
    await clock.settle(guard.execute(async () => ({}), { signal: caller.signal }));
    expect(getEventListeners(caller.signal, 'abort')).toHaveLength(0);
  });
});
