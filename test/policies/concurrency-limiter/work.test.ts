/** Work that goes on after its call was answered, and limits of which nothing is to be learned. */
import { concurrencyLimiter, dynamicTimeout, pipeline, type ResilienceEvent } from 'evenkeel';
import { manualClock } from 'evenkeel/testing';
import { describe, expect, it, vi } from 'vitest';

const adaptive = (options: object = {}) => {
  const clock = manualClock();
  const events: ResilienceEvent[] = [];
  const limiter = concurrencyLimiter({
    load: () => 1,
    maxLimit: 20,
    windowMs: 1_000,
    clock,
    observer: (event) => events.push(event),
    ...options,
  });
  return { clock, events, limiter };
};

describe('work that goes on', () => {
  it('keeps its permit until it ends, however many callers give up (A3)', async () => {
    const { clock, limiter } = adaptive({ minLimit: 1, maxLimit: 3 });
    const guard = pipeline(limiter);
    const ends: (() => void)[] = [];
    let atWork = 0;
    let most = 0;
    for (let i = 0; i < 50; i++) {
      const caller = new AbortController();
      const call = guard.tryExecute(
        async () => {
          most = Math.max(most, ++atWork);
          await new Promise<void>((resolve) => ends.push(resolve));
          atWork--;
        },
        { signal: caller.signal },
      );
      caller.abort('gone');
      await call.catch(() => {});
    }
    expect([most, atWork, limiter.snapshot().inflight]).toEqual([3, 3, 3]);
    for (const end of ends) end();
    await clock.advance(0);
    expect([atWork, limiter.snapshot().inflight]).toEqual([0, 0]);
  });

  it.each([
    [undefined, 30_000],
    [700, 700],
  ])('is written off after abandonedMs: %s, which the observer hears', async (abandonedMs, afterMs) => {
    const { clock, events, limiter } = adaptive({ minLimit: 1, maxLimit: 3, ...(abandonedMs && { abandonedMs }) });
    expect(limiter.holds?.abandonedMs).toBe(afterMs);
    const guard = pipeline(limiter, dynamicTimeout({ limitMs: 50, maxMs: 50, clock }));
    const call = guard.execute(() => new Promise(() => {})).catch((error) => error.name);
    await clock.advance(50);
    expect([await call, limiter.snapshot().inflight, events]).toEqual(['TimeoutError', 1, []]);
    await clock.advance(afterMs - 1);
    expect([limiter.snapshot().inflight, events]).toEqual([1, []]);
    await clock.advance(1);
    expect(limiter.snapshot().inflight).toBe(0);
    expect(events).toEqual([
      { type: 'abandoned', policy: 'concurrencyLimiter', at: 50 + afterMs, abandonedMs: afterMs },
    ]);
  });

  it('is not waited for with abandonedMs: 0, and for ever with Infinity', async () => {
    for (const [abandonedMs, inflight] of [
      [0, 0],
      [Infinity, 1],
    ] as const) {
      const { clock, events, limiter } = adaptive({ abandonedMs });
      const guard = pipeline(limiter, dynamicTimeout({ limitMs: 50, maxMs: 50, clock }));
      const call = guard.execute(() => new Promise(() => {})).catch(() => {});
      await clock.advance(1e9);
      await call;
      expect([limiter.snapshot().inflight, events]).toEqual([inflight, []]);
    }
  });

  it('counts for the limit once, at the answer', () => {
    const learn = (releases: boolean): unknown => {
      const { clock, limiter } = adaptive();
      const calls = Array.from({ length: 8 }, () => ({ startedAt: clock.now() }));
      for (const ctx of calls) limiter.tryAcquire(ctx);
      clock.jump(20);
      for (const ctx of calls) {
        if (releases) limiter.answered?.('success', 20, ctx);
        else limiter.release('success', 20, ctx);
      }
      clock.jump(11);
      if (releases) {
        expect(limiter.snapshot().inflight).toBe(8);
        for (const ctx of calls) limiter.release('success', 31, ctx);
      }
      clock.jump(1);
      limiter.tryAcquire({ startedAt: clock.now() });
      return limiter.snapshot();
    };
    expect(learn(true)).toEqual(learn(false));
    expect(learn(true)).toMatchObject({ minRttMs: 20, inflight: 1 });
  });

  it('an answer without an acquire is nothing, and an abandoned one needs no observer', () => {
    const limiter = concurrencyLimiter({ load: () => 1, clock: manualClock() });
    limiter.answered?.('success', 5);
    expect(limiter.snapshot().inflight).toBe(0);
    limiter.tryAcquire();
    limiter.release('ignored', 5, undefined, { abandoned: true });
    expect(limiter.snapshot().inflight).toBe(0);
  });

  it.each([-1, NaN])('abandonedMs: %s is refused', (abandonedMs) => {
    expect(() => concurrencyLimiter({ abandonedMs })).toThrow('abandonedMs must be a number ≥ 0');
  });
});

describe('a fixed limit', () => {
  it('asks for no time while there is room, and measures nothing', async () => {
    const clock = manualClock();
    const limiter = concurrencyLimiter({ load: () => 1, minLimit: 2, maxLimit: 2, clock });
    const now = vi.spyOn(clock, 'now');
    expect(limiter.usesElapsed).toBe(false);
    for (let i = 0; i < 100; i++) {
      expect([limiter.tryAcquire(), limiter.tryAcquire()]).toEqual([true, true]);
      for (let j = 0; j < 2; j++) limiter.release('success', 0);
    }
    expect(now).not.toHaveBeenCalled();
    await pipeline(limiter).execute(() => 1);
    expect(now).toHaveBeenCalledTimes(1);
    clock.jump(5_000);
    limiter.tryAcquire();
    expect(limiter.snapshot()).toMatchObject({ limit: 2, inflight: 1, maxQps: 0, minRttMs: 0, limiting: false });
    limiter.tryAcquire();
    expect([limiter.tryAcquire(), limiter.retryAfterMs(), limiter.snapshot().limiting]).toEqual([false, 0, true]);
  });

  it('that becomes a range begins to learn afresh, with the calls from then on', () => {
    const { clock, limiter } = adaptive({ minLimit: 5, maxLimit: 5 });
    const early = Array.from({ length: 3 }, () => ({ startedAt: clock.now() }));
    for (const ctx of early) limiter.tryAcquire(ctx);
    clock.jump(100);
    limiter.update({ minLimit: 1, maxLimit: 8 });
    expect(limiter.usesElapsed).toBe(true);
    expect(limiter.snapshot()).toMatchObject({ limit: 8, inflight: 3, maxQps: 0 });
    clock.jump(1);
    const ctx = { startedAt: clock.now() };
    limiter.tryAcquire(ctx);
    for (const one of early) limiter.release('success', 0, one);
    clock.jump(20);
    limiter.release('success', 20, ctx);
    clock.jump(11);
    limiter.tryAcquire({ startedAt: clock.now() });
    expect(limiter.snapshot()).toMatchObject({ minRttMs: 20, inflight: 1 });
    limiter.update({ minLimit: 4, maxLimit: 4 });
    expect(limiter.snapshot()).toMatchObject({ limit: 4, maxQps: 0, minRttMs: 0 });
    limiter.update({ minLimit: 1, maxLimit: 8 });
    expect(limiter.snapshot()).toMatchObject({ limit: 8, maxQps: 0, minRttMs: 0 });
  });

  it('with tierRatios still measures, to tell tiers when to come back', () => {
    const limiter = concurrencyLimiter({
      minLimit: 2,
      maxLimit: 2,
      tierRatios: [1, 1, 0.5, 0.5],
      clock: manualClock(),
    });
    expect(limiter.usesElapsed).toBe(true);
  });
});
