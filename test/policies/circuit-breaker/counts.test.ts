import { type CircuitBreaker, circuitBreaker, keyed, pipeline, RejectedError, TimeoutError } from 'evenkeel';
import { manualClock, seededRandom } from 'evenkeel/testing';
import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';

for (const recovery of ['fast', 'sre'] as const)
  describe(`counts, with recovery: '${recovery}'`, () => {
    const failing = (breaker: CircuitBreaker, calls: number): void => {
      for (let i = 0; i < calls; i++) if (breaker.tryAcquire()) breaker.release('failure', 0);
    };

    it('are 0 a window and a bucket after the last call, by reading alone', () => {
      const clock = manualClock();
      const breaker = circuitBreaker({ clock, recovery, windowMs: 1_000, buckets: 10 });
      failing(breaker, 100);
      expect(breaker.snapshot()).toMatchObject({ requests: 100, accepts: 0, state: 'throttling' });
      clock.jump(1_100);
      expect(breaker.snapshot()).toEqual({ requests: 0, accepts: 0, rejectProbability: 0, state: 'closed' });
    });

    it('put an accepted call into the bucket in which it was admitted', () => {
      const clock = manualClock();
      const breaker = circuitBreaker({ clock, recovery, windowMs: 1_000, buckets: 10 });
      breaker.tryAcquire();
      clock.jump(950);
      breaker.tryAcquire();
      breaker.release('success', 950);
      expect(breaker.snapshot()).toMatchObject({ requests: 2, accepts: 1 });
      clock.jump(60);
      expect(breaker.snapshot()).toMatchObject({ requests: 1, accepts: 0 });
      breaker.tryAcquire({ startedAt: 1_010 });
      clock.jump(5_000);
      breaker.release('success', 5_000, { startedAt: 1_010 });
      expect(breaker.snapshot()).toMatchObject({ requests: 0, accepts: 0 });
    });

    it('take a call back that tells nothing of the callee', () => {
      const breaker = circuitBreaker({ recovery });
      breaker.tryAcquire({ startedAt: 1 });
      breaker.release('ignored', 0, { startedAt: 1 });
      expect(breaker.snapshot().requests).toBe(0);
    });

    it('bear a clock that steps back', () => {
      fc.assert(
        fc.property(fc.array(fc.tuple(fc.double({ min: -2_000, max: 2_000, noNaN: true }), fc.boolean())), (steps) => {
          const clock = manualClock(1e6);
          const breaker = circuitBreaker({ clock, recovery, windowMs: 1_000, random: seededRandom(1) });
          for (const [ms, ok] of steps) {
            clock.jump(ms);
            if (breaker.tryAcquire()) breaker.release(ok ? 'success' : 'failure', 0);
            const { requests, accepts, rejectProbability } = breaker.snapshot();
            expect(accepts).toBeGreaterThanOrEqual(0);
            expect(requests).toBeGreaterThanOrEqual(accepts);
            expect(rejectProbability).toBeGreaterThanOrEqual(0);
            expect(rejectProbability).toBeLessThanOrEqual(1);
          }
        }),
      );
    });

    it('refuse nothing below minRequests', () => {
      const breaker = circuitBreaker({ recovery, minRequests: 50, random: () => 0 });
      for (let i = 0; i < 50; i++) {
        expect(breaker.tryAcquire({ startedAt: i })).toBe(true);
        breaker.release('failure', 0, { startedAt: i });
      }
      expect([50, 51].map((startedAt) => breaker.tryAcquire({ startedAt }))).toContain(false);
    });

    it('see a time-out as a failure, and a refusal further in or the caller’s abort as nothing', async () => {
      const clock = manualClock();
      const breaker = circuitBreaker({ clock, recovery });
      const guarded = pipeline(breaker);
      const refusal = new RejectedError({ policy: 'other', reason: 'rate_limited', retryAfterMs: 0 });
      await expect(guarded.execute(() => Promise.reject(refusal))).rejects.toBe(refusal);
      const controller = new AbortController();
      const hanging = guarded.execute(() => new Promise(() => {}), { signal: controller.signal });
      controller.abort(new Error('gone'));
      await expect(hanging).rejects.toThrow('gone');
      expect(breaker.snapshot().requests).toBe(0);
      await expect(guarded.execute(() => Promise.reject(new TimeoutError('t', 5)))).rejects.toThrow(
        't gave up after 5 ms',
      );
      expect(breaker.snapshot()).toMatchObject({ requests: 1, accepts: 0 });
    });

    it('in shadow mode refuse nothing and report what would have been refused', () => {
      const clock = manualClock();
      const refused: boolean[] = [];
      const breaker = circuitBreaker({
        clock,
        recovery,
        mode: 'shadow',
        random: () => 0,
        observer: (event) => event.type === 'rejected' && refused.push(event.shadow),
      });
      for (let i = 0; i < 100; i++) {
        expect(breaker.tryAcquire()).toBe(true);
        breaker.release('failure', 0);
      }
      expect(refused.length).toBeGreaterThan(50);
      expect(refused).not.toContain(false);
      expect(breaker.snapshot()).toMatchObject({ requests: 100, state: 'throttling' });
    });

    it('are of the calls that were counted as they began, whatever the mode is when they end', () => {
      const clock = manualClock();
      const breaker = circuitBreaker({ clock, recovery });
      breaker.tryAcquire();
      breaker.update({ mode: 'off' });
      const uncounted = Array.from({ length: 100 }, () => ({ startedAt: 0 }));
      for (const ctx of uncounted) expect(breaker.tryAcquire(ctx)).toBe(true);
      breaker.release('failure', 0, uncounted[0]);
      breaker.release('success', 0);
      expect(breaker.snapshot()).toMatchObject({ requests: 1, accepts: 1 });
      clock.jump(1);
      breaker.update({ mode: 'enforce' });
      for (const ctx of uncounted) breaker.release('success', 0, ctx);
      expect(breaker.snapshot()).toMatchObject({ requests: 1, accepts: 1 });
      breaker.tryAcquire();
      clock.jump(1);
      breaker.update({ k: 3 });
      breaker.release('success', 1);
      expect(breaker.snapshot()).toMatchObject({ requests: 2, accepts: 2 });
    });

    it('cost one look at the clock a call', async () => {
      const clock = manualClock();
      const now = vi.spyOn(clock, 'now');
      await pipeline(circuitBreaker({ clock, recovery })).execute(() => 1);
      expect(now).toHaveBeenCalledTimes(1);
    });

    it('go on with a clock that fails, or steps back by less than a window, as of one that stands still', () => {
      const at: number[] = [];
      const breaker = circuitBreaker({
        clock: manualClock(10_000),
        recovery,
        random: () => 0,
        windowMs: 1_000,
        observer: (event) => event.type === 'rejected' && at.push(event.at),
      });
      for (let i = 0; i < 12; i++) {
        breaker.tryAcquire({ startedAt: 10_000 });
        breaker.release('failure', 0, { startedAt: 10_000 });
      }
      at.length = 0;
      for (const startedAt of [10_001, NaN, Infinity, -Infinity, 9_500, 9_001, 10_000, 10_002])
        expect(breaker.tryAcquire({ startedAt })).toBe(false);
      expect(at).toEqual([...Array(7).fill(10_001), 10_002]);
      expect(breaker.snapshot()).toMatchObject({ requests: 20, state: 'throttling' });
    });

    it('start afresh with a clock that is set back by more than a window', () => {
      const states: unknown[] = [];
      const clock = manualClock(10_000);
      const breaker = circuitBreaker({
        clock,
        recovery,
        windowMs: 1_000,
        observer: (event) => event.type === 'circuit_state' && states.push([event.state, event.at]),
      });
      failing(breaker, 20);
      expect(breaker.snapshot()).toMatchObject({ requests: 20, state: 'throttling' });
      states.length = 0;
      clock.jump(-1_001);
      expect(breaker.tryAcquire()).toBe(true);
      expect(breaker.snapshot()).toEqual({ requests: 1, accepts: 0, rejectProbability: 0, state: 'closed' });
      expect(states).toEqual(recovery === 'fast' ? [['closed', 8_999]] : []);
      // Of the calls from before, which seem to be of the future, no more count than there were since.
      for (let i = 0; i < 3; i++) breaker.release('success', 0, { startedAt: 10_000 });
      expect(breaker.snapshot()).toMatchObject({ requests: 1, accepts: 1 });
      for (let i = 0; i < 3; i++) breaker.release('ignored', 0, { startedAt: 10_000 });
      expect(breaker.snapshot()).toMatchObject({ requests: 1, accepts: 1 });
      clock.jump(-2_000);
      breaker.tryAcquire();
      breaker.release('success', 0);
      expect(breaker.snapshot()).toMatchObject({ requests: 1, accepts: 1 });
      expect(states.length).toBeLessThan(2);
    });

    it('survive an update, which is all or nothing', () => {
      const clock = manualClock();
      const breaker = circuitBreaker({ clock, recovery: 'sre', random: () => 0.5 });
      failing(breaker, 10);
      breaker.update({ k: 3 });
      expect(breaker.snapshot()).toMatchObject({ requests: 10 });
      expect(() => breaker.update({ minRequests: 100, k: 0 })).toThrow('k must be a finite number ≥ 1, got 0');
      expect(breaker.snapshot().rejectProbability).toBeGreaterThan(0);
      breaker.update({ minRequests: 100 });
      expect(breaker.snapshot().rejectProbability).toBe(0);
    });
  });

it('keyed: one key’s failures are not another’s', async () => {
  const clock = manualClock();
  const breakers = keyed(() => circuitBreaker({ clock }));
  const guarded = pipeline(breakers);
  for (let i = 0; i < 20; i++) {
    await guarded.tryExecute(() => Promise.reject(new Error('down')), { key: 'a' }).catch(() => {});
  }
  expect(await guarded.tryExecute(() => 1, { key: 'a' })).toMatchObject({
    ok: false,
    rejection: { policy: 'keyed', reason: 'circuit_open' },
  });
  expect(await guarded.tryExecute(() => 1, { key: 'b' })).toEqual({ ok: true, value: 1 });
  expect(breakers.snapshot()).toEqual({ keys: 2 });
});
