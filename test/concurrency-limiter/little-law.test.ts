/** The maths with numbers alone: no clock, no calls. */
import { describe, expect, it } from 'vitest';
import type { Measurement } from '../../src/concurrency-limiter/cohort.js';
import { Estimate } from '../../src/concurrency-limiter/estimate.js';
import { LittleLaw } from '../../src/concurrency-limiter/little-law.js';

const SETTINGS = { windowMs: 10_000, headroomRatio: 0.1, drainRatio: 0.15 };
const BOUNDS = { minLimit: 2, maxLimit: Infinity };

/** A law whose callee has `places`, each of `serviceMs`; every measurement is at the limit that holds. */
function saturated(places: number, serviceMs: number, bounds = BOUNDS) {
  const law = new LittleLaw(SETTINGS, bounds);
  const callee = { places, serviceMs };
  let at = 0;
  const seen = (changes: Partial<Measurement> = {}): Measurement => {
    const inflight = law.limit;
    const rttMs = callee.serviceMs * Math.max(1, inflight / callee.places);
    const throughput = inflight / rttMs;
    return {
      inflight,
      rttMs,
      error: 0.001,
      throughput,
      limited: true,
      droppedRatio: 0,
      successRatio: 1,
      spanMs: 200,
      ...changes,
    };
  };
  law.begin(seen({ inflight: places, rttMs: serviceMs, throughput: places / serviceMs, error: 1 }));
  const learn = (changes?: Partial<Measurement>): number => {
    at += 500;
    law.learn(seen(changes), at);
    return law.limit;
  };
  const settle = (rounds = 12): number[] => Array.from({ length: rounds }, () => learn());
  return { law, callee, learn, settle, seen };
}

describe('an estimate', () => {
  it('takes the first figure, and a surprise, as they are', () => {
    const estimate = new Estimate();
    estimate.learn(10, 0.1, 0);
    expect(estimate.value).toBe(10);
    estimate.learn(20, 0.05, 0);
    expect(estimate.value).toBe(20);
  });

  it('weighs what is no surprise by the errors, on logarithms', () => {
    const estimate = new Estimate();
    estimate.set(10, 0.1);
    estimate.learn(12.1, 0.1, 0);
    expect(estimate.value).toBeCloseTo(11, 9);
    expect(estimate.isWithin(0.0708)).toBe(true);
    expect(estimate.isWithin(0.07)).toBe(false);
  });

  it('never stops following what matters', () => {
    const [still, follows] = [new Estimate(), new Estimate()];
    for (let i = 0; i < 1_000; i++) {
      still.learn(10, 0.1, 0);
      follows.learn(10, 0.1, 0.1);
    }
    still.learn(11, 0.1, 0);
    follows.learn(11, 0.1, 0.1);
    expect(still.value).toBeCloseTo(10, 2);
    expect(follows.value).toBeCloseTo(Math.sqrt(110), 6);
  });

  it('is lowered by nothing but a surprise', () => {
    const estimate = new Estimate();
    estimate.set(10, 0.01);
    expect([estimate.lowerTo(11, 0.01), estimate.lowerTo(9.8, 0.01), estimate.value]).toEqual([false, false, 10]);
    expect([estimate.lowerTo(9, 0.01), estimate.value]).toEqual([true, 9]);
  });
});

describe('the law', () => {
  it.each([
    [1, 20, 2],
    [2, 20, 3],
    [10, 0.2, 11],
    [100, 50, 110],
    [1_000, 7, 1_100],
  ])('%i places of %d ms: cruises at %i, drains below, and comes back', (places, serviceMs, cruise) => {
    const { law, settle } = saturated(places, serviceMs);
    const limits = settle(40).slice(5);
    expect(Math.max(...limits)).toBe(cruise);
    expect(new Set(limits).size).toBe(2);
    const drain = Math.min(...limits) / places;
    expect(drain === 1 || (drain > 0.85 - 1.01 / places && drain <= 0.85)).toBe(true);
    expect(law.capacity).toBeCloseTo(places, 6);
    expect(law.maxQps).toBeCloseTo((places / serviceMs) * 1_000, 3);
    expect(law.minRttMs).toBeCloseTo(serviceMs, 9);
  });

  it('goes up by the headroom, then by more, while the callee has room', () => {
    const { callee, settle } = saturated(10, 20);
    settle();
    callee.places = 1_000;
    const limits = settle(16);
    expect(limits.at(-1)).toBeGreaterThan(600);
    for (const [i, limit] of limits.slice(1).entries()) expect(limit / (limits[i] as number)).toBeLessThan(1.5);
  });

  it('a drain tells a slower callee from one with fewer places', () => {
    const slower = saturated(10, 20);
    slower.settle();
    slower.callee.serviceMs = 50;
    slower.settle();
    expect([slower.law.minRttMs, slower.law.capacity]).toEqual([expect.closeTo(50, 6), expect.closeTo(10, 6)]);
    const smaller = saturated(10, 20);
    smaller.settle();
    smaller.callee.places = 4;
    smaller.settle();
    expect([smaller.law.minRttMs, smaller.law.capacity]).toEqual([expect.closeTo(20, 6), expect.closeTo(4, 6)]);
  });

  it('a drain that still finds a queue does not raise minRtt, and goes to half', () => {
    const { law, learn, settle } = saturated(10, 20);
    settle(2);
    while (law.limit !== 8) learn();
    // As many answers as at 11: there is a queue, and it is part of the 21 ms.
    learn({ rttMs: 21, inflight: 10.5 });
    expect([law.limit, law.minRttMs]).toEqual([5, expect.closeTo(20, 6)]);
    // A quarter fewer: no queue.
    learn({ rttMs: 21, inflight: 8 });
    expect(law.minRttMs).toBeGreaterThan(20.9);
  });

  it('a drain slower than the cruise before it is no measurement: the callee is changing', () => {
    const { law, learn, settle } = saturated(10, 20);
    settle(2);
    while (law.limit !== 8) learn();
    learn({ rttMs: 90, throughput: 8 / 90 });
    expect([law.limit, law.minRttMs]).toEqual([11, expect.closeTo(20, 6)]);
  });

  it('little traffic is no reason to fall, and a faster answer is one to look', () => {
    const { law, learn, settle } = saturated(10, 20);
    settle(4);
    const idle = { limited: false, inflight: 0.5, rttMs: 20, throughput: 0.02 };
    for (let i = 0; i < 100; i++) expect(learn(idle)).toBe(11);
    learn({ ...idle, rttMs: 10 });
    expect(law.minRttMs).toBeCloseTo(10, 6);
    learn({ ...idle, rttMs: 40 });
    expect(law.minRttMs).toBeCloseTo(10, 6);
  });

  it('time-outs take what was dropped, half at most a time', () => {
    const half = { droppedRatio: 1, successRatio: 0 };
    const { learn, settle } = saturated(100, 20);
    settle(4);
    expect([1, 2, 3].map(() => learn(half))).toEqual([55, 28, 14]);
    for (let i = 0; i < 20; i++) learn(half);
    expect(learn(half)).toBe(2);
  });

  it('a fixed limit is never drained', () => {
    const { settle } = saturated(10, 20, { minLimit: 30, maxLimit: 30 });
    expect(new Set(settle(40))).toEqual(new Set([30]));
  });

  it('a drain goes to half of minLimit at most', () => {
    const { settle } = saturated(10, 20, { minLimit: 30, maxLimit: 100 });
    expect(Math.min(...settle(40))).toBeGreaterThanOrEqual(15);
  });
});
