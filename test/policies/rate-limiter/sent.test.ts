/** A quota counts what was sent: the table of docs/rate-limiter.md. */
import {
  type Classify,
  type Gate,
  hedge,
  keyed,
  keyedRateLimiter,
  type Policy,
  pipeline,
  type RateLimiterOptions,
  rateLimiter,
  runGate,
} from 'evenkeel';
import { type ManualClock, manualClock } from 'evenkeel/testing';
import { describe, expect, it } from 'vitest';

type Options = Pick<RateLimiterOptions, 'limit'> & { clock: ManualClock; classify?: Classify };
const WINDOW = { windowMs: 60_000 };
const LIMITERS: Record<string, (options: Options) => { gate: Gate; used: () => number | undefined }> = {
  log: (options) => single({ ...options, algorithm: 'log' }),
  buckets: (options) => single({ ...options, algorithm: 'buckets' }),
  counter: (options) => single({ ...options, algorithm: 'counter' }),
  'a million keys': (options) => {
    const gate = keyedRateLimiter({ ...WINDOW, ...options });
    return { gate, used: () => gate.peek('a').used };
  },
  'one limiter a key': (options) => {
    const gate = keyed(() => rateLimiter({ ...WINDOW, ...options }));
    return { gate, used: () => gate.peek('a')?.snapshot().used };
  },
};

function single(options: Options & Pick<RateLimiterOptions, 'algorithm'>) {
  const gate = rateLimiter({ ...WINDOW, ...options });
  return { gate, used: () => gate.snapshot().used };
}

const closed: Gate = {
  name: 'closed',
  reason: 'circuit_open',
  tryAcquire: () => false,
  release: () => {},
  retryAfterMs: () => 0,
  run: (ctx, next) => runGate(closed, ctx, next),
};
const between: Policy = { name: 'between', run: (ctx, next) => next(ctx) };

describe.each(Object.entries(LIMITERS))('a quota by %s', (_, make) => {
  it('lets in its limit of calls that are cancelled, and no more (A1)', async () => {
    const { gate, used } = make({ limit: 5, clock: manualClock() });
    const guard = pipeline(gate);
    let begun = 0;
    for (let i = 0; i < 100; i++) {
      const caller = new AbortController();
      const call = guard.tryExecute(
        (ctx) => {
          begun++;
          return new Promise((_resolve, reject) =>
            ctx.signal.addEventListener('abort', () => reject(ctx.signal.reason)),
          );
        },
        { key: 'a', signal: caller.signal },
      );
      caller.abort('gone');
      await call.catch(() => {});
    }
    expect([begun, used()]).toEqual([5, 5]);
  });

  it.each([
    ['fused', []],
    ['with a policy between', [between]],
  ])('refunds what an inner gate refused, %s', async (__, inner) => {
    const { gate, used } = make({ limit: 5, clock: manualClock() });
    for (let i = 0; i < 20; i++) {
      expect(await pipeline(gate, ...inner, closed).tryExecute(() => 1, { key: 'a' })).toMatchObject({
        rejection: { policy: 'closed' },
      });
    }
    expect(used()).toBe(0);
  });

  it('refunds a call that was aborted before its function was called', async () => {
    const { gate, used } = make({ limit: 5, clock: manualClock() });
    const caller = new AbortController();
    const waits: Policy = {
      name: 'waits',
      run: async (ctx, next) => {
        caller.abort('gone');
        return next(ctx);
      },
    };
    let begun = 0;
    const call = pipeline(gate, waits).execute(() => begun++, { key: 'a', signal: caller.signal });
    await expect(call).rejects.toBe('gone');
    expect([begun, used()]).toEqual([0, 0]);
  });

  it('counts a call that threw before its first await, or that classify ignores', async () => {
    const { gate, used } = make({ limit: 5, clock: manualClock(), classify: () => 'ignored' });
    const guard = pipeline(gate);
    await guard.execute(() => 1, { key: 'a' });
    const thrown = guard.execute(
      () => {
        throw new Error('at once');
      },
      { key: 'a' },
    );
    await expect(thrown).rejects.toThrow('at once');
    expect(used()).toBe(2);
  });

  it('counts the loser of a hedge', async () => {
    const clock = manualClock();
    const { gate, used } = make({ limit: 5, clock });
    const guard = pipeline(hedge({ afterMs: 10, clock }), gate);
    const call = guard.execute(
      (ctx) => {
        if (ctx.attempt > 0) return 'second';
        return new Promise((_resolve, reject) => ctx.signal.addEventListener('abort', () => reject(ctx.signal.reason)));
      },
      { key: 'a' },
    );
    await clock.advance(20);
    expect(await call).toBe('second');
    expect(used()).toBe(2);
  });
});
