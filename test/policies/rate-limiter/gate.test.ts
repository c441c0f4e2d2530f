import {
  type Gate,
  isRejected,
  keyedRateLimiter,
  pipeline,
  type ResilienceEvent,
  rateLimiter,
  runGate,
} from 'evenkeel';
import { manualClock } from 'evenkeel/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bucketCounts, counted, limits, Rig, scenarios, worst } from './arrivals.js';

const ALGORITHMS = ['log', 'buckets', 'counter'] as const;

describe.each(ALGORITHMS)('rateLimiter, %s', (algorithm) => {
  const setUp = (limit: number, options: object = {}) => {
    const clock = manualClock();
    const events: ResilienceEvent[] = [];
    const limiter = rateLimiter({
      limit,
      windowMs: 1_000,
      algorithm,
      clock,
      observer: (event) => events.push(event),
      ...options,
    });
    return { clock, limiter, events };
  };

  it('says who refused, why and when to come back, and tells the observer', async () => {
    const { limiter, events } = setUp(1, { name: 'per second' });
    const policies = pipeline(limiter);
    expect(await policies.execute(() => 'done')).toBe('done');
    // By two counters the one call counts in part until the end of the next window.
    const retryAfterMs = algorithm === 'counter' ? 2_000 : 1_000;
    const rejection = { policy: 'per second', reason: 'rate_limited', retryAfterMs };
    expect(await policies.tryExecute(() => 'done')).toEqual({ ok: false, rejection });
    expect(events).toEqual([{ type: 'rejected', at: 0, shadow: false, ...rejection }]);
    await expect(policies.execute(() => 'done')).rejects.toSatisfy(isRejected);
  });

  it('goes by ctx.startedAt and ctx.cost', () => {
    const { limiter, clock } = setUp(10);
    expect(limiter.tryAcquire({ startedAt: 500, cost: 4 })).toBe(true);
    clock.jump(500);
    expect(limiter.snapshot()).toMatchObject({ used: 4, remaining: 6, limit: 10, windowMs: 1_000 });
    expect(limiter.tryAcquire({ startedAt: 500, cost: 6.5 })).toBe(false);
    expect(limiter.tryAcquire({ startedAt: 500, cost: 5.5 })).toBe(true);
    expect(limiter.snapshot()).toMatchObject({ used: 9.5, remaining: 0 });
  });

  it('never admits what costs more than the limit, and always what costs nothing', () => {
    const { limiter } = setUp(2);
    expect(limiter.tryAcquire({ cost: 2.1 })).toBe(false);
    expect(limiter.retryAfterMs({ cost: 2.1 })).toBe(Infinity);
    expect(limiter.snapshot().used).toBe(0);
    expect(limiter.tryAcquire({ cost: 2 })).toBe(true);
    limiter.update({ limit: 1 });
    expect(limiter.tryAcquire({ cost: 0 })).toBe(true);
    expect(limiter.retryAfterMs({ cost: 0 })).toBe(0);
    expect(limiter.tryAcquire()).toBe(false);
  });

  it.each([-1, NaN, -Infinity, '1' as unknown as number])('refuses a cost of %s as an error', (cost) => {
    const { limiter } = setUp(2, { name: 'mine' });
    if (typeof cost === 'number') {
      expect(() => limiter.tryAcquire({ cost })).toThrow('mine: cost must be a finite number ≥ 0, got');
      expect(() => limiter.retryAfterMs({ cost })).toThrow('mine: cost must be');
    } else {
      expect(() => limiter.tryAcquire({ cost })).toThrow(TypeError);
    }
    expect(limiter.snapshot().used).toBe(0);
  });

  it('update({ limit }) takes effect at once and keeps what was counted', () => {
    const { limiter, clock } = setUp(10);
    for (let i = 0; i < 10; i++) limiter.tryAcquire();
    expect(limiter.tryAcquire()).toBe(false);
    limiter.update({ limit: 12 });
    expect(limiter.snapshot()).toMatchObject({ used: 10, remaining: 2, limit: 12 });
    expect(limiter.tryAcquire()).toBe(true);
    limiter.update({ limit: 5 });
    expect(limiter.snapshot()).toMatchObject({ used: 11, remaining: 0, limit: 5 });
    expect(limiter.tryAcquire()).toBe(false);
    const waitMs = limiter.retryAfterMs();
    clock.jump(waitMs);
    expect(limiter.tryAcquire()).toBe(true);
    expect(waitMs).toBeGreaterThanOrEqual(1_000);
  });

  it('takes back what ends as ignored, and nothing else', () => {
    const { limiter } = setUp(5);
    for (const verdict of ['success', 'failure', 'dropped', 'ignored', 'ignored'] as const) {
      expect(limiter.tryAcquire()).toBe(true);
      limiter.release(verdict, 0);
    }
    expect(limiter.snapshot()).toMatchObject({ used: 3, remaining: 2 });
  });

  it('takes back what was counted for a call that a gate further in refused, fused or not', async () => {
    const { limiter, clock } = setUp(5);
    const closed: Gate = {
      name: 'closed',
      reason: 'circuit_open',
      tryAcquire: () => false,
      release: () => {},
      retryAfterMs: () => 0,
      run: (ctx, next) => runGate(closed, ctx, next),
    };
    const between = { name: 'between', run: <C, R>(ctx: C, next: (ctx: C) => Promise<R>) => next(ctx) };
    await pipeline(limiter, closed).tryExecute(() => 0, { cost: 2 });
    await pipeline(limiter, between, closed).tryExecute(() => 0, { cost: 2 });
    clock.jump(1);
    expect(limiter.snapshot().used).toBe(0);
    await expect(
      pipeline(limiter).execute(() => {
        throw new Error('failed');
      }),
    ).rejects.toThrow('failed');
    expect(limiter.snapshot().used).toBe(1);
  });

  it('in shadow mode decides, counts and reports as ever, but refuses nothing', async () => {
    const { limiter, events } = setUp(2, { mode: 'shadow' });
    const contexts = Array.from({ length: 5 }, () => ({ startedAt: 0 }));
    expect(contexts.map((ctx) => limiter.tryAcquire(ctx))).toEqual([true, true, true, true, true]);
    expect(events.map((event) => event.type === 'rejected' && event.shadow)).toEqual([true, true, true]);
    expect(limiter.snapshot()).toMatchObject({ used: 2, remaining: 0 });
    // Only the first two were counted.
    for (const ctx of contexts.slice(2)) limiter.release('ignored', 0, ctx);
    expect(limiter.snapshot().used).toBe(2);
    for (const ctx of contexts.slice(0, 2)) limiter.release('ignored', 0, ctx);
    expect(limiter.snapshot().used).toBe(0);
  });

  it('when off counts nothing; it refunds what it has counted, and only that', () => {
    const { limiter, clock, events } = setUp(2);
    const counted = {};
    const uncounted = Array.from({ length: 5 }, () => ({}));
    limiter.tryAcquire(counted);
    limiter.update({ mode: 'off' });
    for (const ctx of uncounted) expect(limiter.tryAcquire(ctx)).toBe(true);
    expect(limiter.retryAfterMs({ cost: 7 })).toBe(0);
    limiter.release('ignored', 0, uncounted[0]);
    expect(limiter.snapshot().used).toBe(1);
    clock.jump(1);
    limiter.release('ignored', 1, counted);
    expect(limiter.snapshot().used).toBe(0);
    limiter.update({ mode: 'enforce' });
    for (const ctx of uncounted) limiter.release('ignored', 1, ctx);
    expect([limiter.tryAcquire(counted), limiter.tryAcquire(), limiter.tryAcquire()]).toEqual([true, true, false]);
    for (const ctx of uncounted) limiter.release('ignored', 1, ctx);
    expect(events).toHaveLength(1);
  });

  it('refunds by number where no context tells the calls apart', () => {
    const { limiter } = setUp(2);
    limiter.tryAcquire();
    limiter.update({ mode: 'off' });
    for (let i = 0; i < 5; i++) limiter.tryAcquire();
    limiter.update({ mode: 'enforce' });
    limiter.tryAcquire();
    const used = Array.from({ length: 9 }, () => {
      limiter.release('ignored', 0);
      return limiter.snapshot().used;
    });
    expect(used).toEqual([1, 1, 1, 1, 1, 1, 0, 0, 0]);
  });

  it('counts what was sent, whatever the verdict, and in a pipeline by itself', async () => {
    const { limiter, clock } = setUp(5);
    const ctx = {};
    limiter.tryAcquire(ctx);
    limiter.release('ignored', 0, ctx, { sent: true });
    expect(limiter.snapshot().used).toBe(1);
    limiter.tryAcquire(ctx);
    limiter.release('ignored', 0, ctx, { sent: false });
    expect(limiter.snapshot().used).toBe(1);
    const judged = rateLimiter({ limit: 5, windowMs: 1_000, classify: () => 'ignored', clock });
    for (let i = 0; i < 3; i++) await pipeline(judged).execute(() => i);
    expect(judged.snapshot().used).toBe(3);
  });

  it('takes back from a call that was refused before, or at another limit; never less than nothing', () => {
    const { limiter, clock } = setUp(1);
    const ctx = { startedAt: 0 };
    limiter.tryAcquire();
    expect(limiter.tryAcquire(ctx)).toBe(false);
    limiter.update({ limit: 2 });
    expect(limiter.tryAcquire(ctx)).toBe(true);
    clock.jump(1);
    limiter.update({ limit: 3 });
    limiter.tryAcquire();
    const before = limiter.snapshot().used;
    limiter.release('ignored', 1, { startedAt: 0, cost: -1 });
    expect(limiter.snapshot().used).toBe(before);
    limiter.release('ignored', 1, ctx);
    for (let i = 0; i < 3; i++) limiter.release('ignored', 1);
    expect(limiter.snapshot().used).toBe(1);
  });

  it('lets calls without a context through in shadow mode, too', () => {
    const { limiter } = setUp(1, { mode: 'shadow' });
    expect([limiter.tryAcquire(), limiter.tryAcquire()]).toEqual([true, true]);
    expect(limiter.snapshot().used).toBe(1);
  });

  it('needs no time at the end of a call', () => {
    expect(setUp(1).limiter).toMatchObject({ usesElapsed: false, reason: 'rate_limited', name: 'rateLimiter' });
  });
});

describe('what is taken back', () => {
  it('never lets more than the limit into a window, also where the clock has stepped back', () => {
    fc.assert(
      fc.property(
        scenarios({ backwards: true }),
        limits,
        bucketCounts,
        fc.infiniteStream(fc.nat(99)),
        fc.constantFrom('log' as const, 'buckets' as const),
        ({ windowMs, startMs, arrivals }, limit, buckets, dice, algorithm) => {
          const rig = new Rig({ limit, windowMs, buckets, algorithm }, startMs);
          const started = new Map<object, number>();
          for (const arrival of arrivals) {
            const call = rig.call(arrival);
            // As its context says, which may be before the limiter's own time.
            started.set(call, rig.clock.time);
            const open = counted(rig.calls);
            const roll = dice.next().value as number;
            const one = open[roll % Math.max(1, open.length)];
            if (roll < 40 && one !== undefined) {
              rig.limiter.release('ignored', 0, { startedAt: started.get(one) as number, cost: one.cost });
              one.ignored = true;
            }
            expect(worst(rig.calls, windowMs)).toBeLessThanOrEqual(limit);
          }
        },
      ),
      { numRuns: 500 },
    );
  });

  it('is taken back also from those who do not say when the call began', () => {
    const clock = manualClock();
    const limiter = rateLimiter({ limit: 3, windowMs: 1_000, clock });
    limiter.tryAcquire();
    clock.jump(100);
    limiter.tryAcquire();
    clock.jump(100);
    limiter.release('ignored', 0);
    expect(limiter.snapshot().used).toBe(1);
    limiter.release('ignored', 0);
    limiter.release('ignored', 0);
    expect(limiter.snapshot().used).toBe(0);
  });
});

describe('keyedRateLimiter', () => {
  it('has one limit a key in a pipeline, and modes, updates and costs as the other', async () => {
    const clock = manualClock();
    const events: ResilienceEvent[] = [];
    const limiter = keyedRateLimiter({ limit: 2, windowMs: 1_000, clock, observer: (event) => events.push(event) });
    const policies = pipeline(limiter);
    const call = async (key: string | undefined, cost = 1) => (await policies.tryExecute(() => 0, { key, cost })).ok;
    expect([await call('a'), await call('a'), await call('a')]).toEqual([true, true, false]);
    expect([await call('b', 2), await call('b'), await call(undefined), await call('c', 3)]).toEqual([
      true,
      false,
      true,
      false,
    ]);
    expect(events.map(({ type }) => type)).toEqual(['rejected', 'rejected', 'rejected']);
    expect(limiter.snapshot()).toEqual({ keys: 2 });
    expect(limiter.peek('a')).toEqual({ used: 2, remaining: 0, resetMs: 1_500, limit: 2, windowMs: 1_000 });
    expect(limiter.peek()).toMatchObject({ used: 1, remaining: 1 });
    expect(limiter.peek('c')).toEqual({ used: 0, remaining: 2, resetMs: 0, limit: 2, windowMs: 1_000 });
    expect(limiter.retryAfterMs({ key: 'a' })).toBe(1_500);
    expect(limiter.retryAfterMs({ key: 'new' })).toBe(0);
    expect(limiter.retryAfterMs({ key: 'new', cost: 3 })).toBe(Infinity);
    limiter.update({ limit: 3 });
    expect([await call('a'), await call('a')]).toEqual([true, false]);
    limiter.update({ mode: 'shadow' });
    expect(await call('a')).toBe(true);
    limiter.update({ mode: 'off', limit: 1 });
    expect(await call('d')).toBe(true);
    expect(limiter.snapshot()).toEqual({ keys: 2 });
  });

  it('takes back by key what ends as ignored', () => {
    const limiter = keyedRateLimiter({ limit: 5, windowMs: 1_000, clock: manualClock() });
    limiter.tryAcquire({ key: 'a', cost: 2 });
    limiter.tryAcquire({ key: 'b' });
    limiter.release('ignored', 0, { key: 'a', cost: 2 });
    limiter.release('ignored', 0, { key: 'unheard of' });
    expect([limiter.peek('a').used, limiter.peek('b').used]).toEqual([0, 1]);
  });

  it('refuses a key that is no string as an error', () => {
    const limiter = keyedRateLimiter({ limit: 5, windowMs: 1_000 });
    for (const key of [5, null, {}, Symbol('key')] as unknown as string[]) {
      expect(() => limiter.tryAcquire({ key })).toThrow(/^keyedRateLimiter: key must be a string, got /);
    }
  });
});
