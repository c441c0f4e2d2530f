import { circuitBreaker } from 'evenkeel';
import { manualClock, seededRandom } from 'evenkeel/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { rejectProbability } from '../../../src/policies/circuit-breaker/circuit-breaker.js';

describe('p', () => {
  const counts = fc.tuple(fc.nat(1e6), fc.nat(1e6)).map(([a, b]) => [Math.max(a, b), Math.min(a, b)] as const);
  const k = fc.double({ min: 1, max: 10, noNaN: true });

  it('is in [0, 1), and 0 just where requests ≤ k · accepts', () => {
    fc.assert(
      fc.property(counts, k, ([requests, accepts], k) => {
        const p = rejectProbability(requests, accepts, k);
        expect(p).toBeGreaterThanOrEqual(0);
        expect(p).toBeLessThan(1);
        expect(p === 0).toBe(requests <= k * accepts);
      }),
    );
  });

  it('falls with accepts and with k, and rises with requests', () => {
    fc.assert(
      fc.property(counts, k, k, fc.integer({ min: 1, max: 100 }), ([requests, accepts], k, more, n) => {
        const p = rejectProbability(requests, accepts, k);
        expect(rejectProbability(requests + n, accepts, k)).toBeGreaterThanOrEqual(p);
        expect(rejectProbability(requests, accepts + n, k)).toBeLessThanOrEqual(p);
        expect(rejectProbability(requests, accepts, k + more)).toBeLessThanOrEqual(p);
      }),
    );
  });
});

type Step = { afterMs: number; ok: boolean; roll: number };

/** The formula over a list of events kept by hand. */
function byHand(steps: readonly Step[], { k, windowMs, buckets, minRequests }: Record<string, number>): number[] {
  const bucketOf = (at: number): number => Math.floor(at / ((windowMs as number) / (buckets as number)));
  const events: { bucket: number; accepted: boolean }[] = [];
  let at = 0;
  let head = 0;
  return steps.map(({ afterMs, ok, roll }) => {
    at += afterMs;
    head = Math.max(head, bucketOf(at));
    const inWindow = events.filter(({ bucket }) => head - bucket < (buckets as number));
    const requests = inWindow.length;
    const accepts = inWindow.filter(({ accepted }) => accepted).length;
    const p =
      requests < (minRequests as number) ? 0 : Math.max(0, (requests - (k as number) * accepts) / (requests + 1));
    events.push({ bucket: bucketOf(at), accepted: roll >= p && ok });
    return p;
  });
}

const step = fc.record({
  afterMs: fc.oneof(fc.constant(0), fc.double({ min: 0, max: 50, noNaN: true }), fc.constant(3_000)),
  ok: fc.boolean(),
  roll: fc.double({ min: 0, max: 0.999999, noNaN: true }),
});

describe("recovery: 'sre'", () => {
  it('is the formula, with refusals counted, at every admission', () => {
    fc.assert(
      fc.property(
        fc.array(step, { maxLength: 300 }),
        fc.record({
          k: fc.double({ min: 1, max: 3, noNaN: true }),
          windowMs: fc.constantFrom(100, 1_000, 999.9),
          buckets: fc.constantFrom(1, 3, 10, 40),
          minRequests: fc.nat(20),
        }),
        (steps, settings) => {
          const clock = manualClock();
          let roll = 0;
          const breaker = circuitBreaker({ ...settings, recovery: 'sre', clock, random: () => roll });
          const expected = byHand(steps, settings);
          steps.forEach((one, i) => {
            clock.jump(one.afterMs);
            roll = one.roll;
            const p = expected[i] as number;
            expect(Math.abs(breaker.snapshot().rejectProbability - p)).toBeLessThan(1e-9);
            const admitted = breaker.tryAcquire();
            expect(admitted).toBe(one.roll >= p);
            if (admitted) breaker.release(one.ok ? 'success' : 'failure', 0);
          });
        },
      ),
    );
  });

  it('admits while p = 0 whatever the random source gives', () => {
    const breaker = circuitBreaker({ recovery: 'sre', random: () => NaN });
    for (let i = 0; i < 100; i++) {
      expect(breaker.tryAcquire({ startedAt: i })).toBe(true);
      breaker.release('success', 0, { startedAt: i });
    }
  });

  it('refuses where the random number is less than p, and only there', () => {
    const admitted = (roll: number) => {
      const breaker = circuitBreaker({ recovery: 'sre', random: () => roll, minRequests: 1 });
      breaker.tryAcquire({ startedAt: 1 });
      breaker.release('failure', 0, { startedAt: 1 });
      return breaker.tryAcquire({ startedAt: 1 });
    };
    expect([0, 0.4999, 0.5, 0.9].map(admitted)).toEqual([false, false, true, true]);
  });

  it('gives the same decisions for the same seed and trace', () => {
    const decisions = (seed: number) => {
      const breaker = circuitBreaker({ recovery: 'sre', random: seededRandom(seed) });
      return Array.from({ length: 500 }, (_, i) => {
        const admitted = breaker.tryAcquire({ startedAt: i });
        if (admitted) breaker.release('failure', 0, { startedAt: i });
        return admitted;
      });
    };
    expect(decisions(7)).toEqual(decisions(7));
    expect(decisions(7)).not.toEqual(decisions(8));
  });

  it('tells until when the window stays as it is', () => {
    const clock = manualClock(100);
    const breaker = circuitBreaker({
      recovery: 'sre',
      clock,
      random: () => 0,
      windowMs: 1_000,
      buckets: 10,
      minRequests: 1,
    });
    breaker.tryAcquire();
    breaker.release('success', 0);
    expect(breaker.retryAfterMs()).toBe(0);
    breaker.tryAcquire();
    breaker.tryAcquire();
    clock.jump(30);
    expect(breaker.tryAcquire()).toBe(false);
    expect(breaker.retryAfterMs()).toBeCloseTo(70, 9);
  });
});
