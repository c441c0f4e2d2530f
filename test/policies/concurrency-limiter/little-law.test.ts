/** The maths with numbers alone: no clock, no calls. */
import { describe, expect, it } from 'vitest';
import type { Measurement } from '../../../src/policies/concurrency-limiter/cohort.js';
import { Estimate } from '../../../src/policies/concurrency-limiter/estimate.js';
import { LittleLaw } from '../../../src/policies/concurrency-limiter/little-law.js';

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
  const begin = (changes: Partial<Measurement> = {}): void =>
    law.begin(
      seen({
        inflight: places,
        rttMs: serviceMs,
        throughput: places / serviceMs,
        limited: false,
        error: 1,
        ...changes,
      }),
    );
  begin();
  const learn = (changes?: Partial<Measurement>, afterMs = 500): number => {
    at += afterMs;
    law.learn(seen(changes), at);
    return law.limit;
  };
  const settle = (rounds = 12): number[] => Array.from({ length: rounds }, () => learn());
  /** To the cruise after a drain, as exact as may be. */
  const drained = (drain: Partial<Measurement> = {}): number => {
    for (let before = Infinity, i = 0; law.limit >= before || i === 0; i++) {
      if (i > 20) throw new Error('it never drains');
      before = law.limit;
      learn();
    }
    return learn(drain);
  };
  return { law, callee, begin, learn, settle, drained };
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

  it('takes what is exact, and is no surprise, as it is', () => {
    const estimate = new Estimate();
    estimate.set(10, 0.1);
    estimate.learn(10.5, 0, 0);
    expect(estimate.value).toBeCloseTo(10.5, 9);
    estimate.learn(10.5 * (1 + 5e-10), 0, 0);
    expect(estimate.value / 10.5 - 1).toBeCloseTo(5e-10, 13);
  });

  it('takes rounding for no surprise', () => {
    const estimate = new Estimate();
    estimate.set(10, 0);
    expect([estimate.lowerTo(10 - 1e-9, 0), estimate.lowerTo(10 - 1e-7, 0)]).toEqual([false, true]);
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

describe('what the law makes of a measurement', () => {
  it('counts what was dropped at the start as not answered', () => {
    const { law, begin } = saturated(100, 20);
    begin({ droppedRatio: 0.25 });
    expect(law.capacity).toBeCloseTo(75, 9);
  });

  it('concludes nothing before minRtt is known: the first look at it is a drain', () => {
    const { law, learn } = saturated(100, 20);
    expect(learn({ rttMs: 44 })).toBe(85);
    expect(law.capacity).toBeCloseTo(100, 9);
    // With a limit that is fixed there is none, and no reason to wait.
    const fixed = saturated(100, 20, { minLimit: 100, maxLimit: 100 });
    fixed.learn({ rttMs: 25 });
    expect(fixed.law.maxQps).toBeCloseTo(4_000, 1);
  });

  it('takes all that were in flight, and the limit where they were fewer', () => {
    const { law, learn, drained } = saturated(100, 20);
    drained();
    learn({ inflight: 50, rttMs: 27.5 });
    expect(law.maxQps).toBeCloseTo(4_000, 1);
    drained();
    learn({ inflight: 160, rttMs: 20, successRatio: 0.5 });
    expect(law.maxQps).toBeCloseTo(8_000 / 2, 1);
  });

  it('counts failures as answers, but not as what is answered with success', () => {
    const { law, learn, drained } = saturated(100, 20);
    drained();
    learn({ successRatio: 0.5 });
    expect([law.maxQps, law.capacity]).toEqual([expect.closeTo(2_500, 6), expect.closeTo(100, 6)]);
    // Without refusals only successes are counted as throughput anyway.
    learn({ successRatio: 0.5, limited: false });
    expect(law.maxQps).toBeCloseTo(5_000, 6);
    drained({ successRatio: 0.25, limited: false });
    expect(law.maxQps).toBeCloseTo(1_250, 6);
  });

  it('takes drops off what was answered, and does not go up by more with them', () => {
    const { law, learn, drained } = saturated(100, 20);
    drained();
    expect(learn({ inflight: 200, rttMs: 20, droppedRatio: 0.2 })).toBe(176);
    expect(law.capacity).toBeCloseTo(160, 2);
    const growing = saturated(100, 20);
    growing.drained();
    expect(growing.learn({ inflight: 160, rttMs: 20 })).toBe(192);
  });

  it('drains anew a fifth of a window after the last one, or once that costs no more than 3 %', () => {
    for (const [spanMs, pauseMs] of [
      [200, 2_000],
      [1_000, 5_000],
    ] as const) {
      const { learn, drained } = saturated(100, 20);
      expect(drained({ spanMs })).toBe(110);
      expect(learn({}, pauseMs)).toBe(110);
      expect(learn({}, 1)).toBe(85);
    }
    // One that takes nothing away costs nothing.
    const small = saturated(10, 20, { minLimit: 30, maxLimit: 100 });
    expect(small.drained({ spanMs: 1_000, inflight: 8, rttMs: 20 })).toBe(30);
    expect([small.learn({}, 2_000), small.learn({}, 1)]).toEqual([30, 15]);
    // Nothing is known of the past at first.
    const first = saturated(100, 20);
    first.begin({ error: 0.001 });
    expect(first.learn()).toBe(85);
  });

  it('drains when the throughput has fallen by more than a drain takes, or all is faster', () => {
    for (const [places, limit] of [
      [90, 99],
      [80, 68],
    ] as const) {
      const { callee, learn, drained } = saturated(100, 20);
      drained();
      callee.places = places;
      expect(learn()).toBe(limit);
    }
    const { learn, drained } = saturated(100, 20);
    drained();
    expect(learn({ rttMs: 19.5, inflight: 97.5 })).toBeLessThan(100);
  });

  it.each([
    [0.001, 0.052, true],
    [0.001, 0.054, false],
    [0.1, 0.34, true],
    [0.1, 0.36, false],
  ])('a drain with an error of %d is a measurement up to a rise of %d: %s', (error, rise, counts) => {
    const { law, drained } = saturated(100, 20);
    drained({ rttMs: 22 * Math.exp(rise), inflight: 60, error });
    expect(law.minRttMs > 20.1).toBe(counts);
  });

  it('a drain with drops is none, and takes off what was dropped', () => {
    const { law, drained } = saturated(100, 20);
    expect(drained({ rttMs: 10, droppedRatio: 0.2 })).toBe(88);
    expect(law.minRttMs).toBeCloseTo(20, 9);
  });

  it('a drain that finds a queue may only lower minRtt, and the next one may come soon', () => {
    const { law, learn, drained } = saturated(100, 20);
    expect(drained({ rttMs: 17, error: 0.03, spanMs: 1_000 })).toBe(94);
    expect(law.minRttMs).toBeCloseTo(17, 1);
    expect([learn({ rttMs: 20 }, 2_000), learn({ rttMs: 20 }, 1)]).toEqual([88, 63]);
  });

  it('a drain that finds a queue goes to half of what was in flight, if it is exact, and to less than before', () => {
    expect(saturated(100, 20).drained({ rttMs: 20, inflight: 98, error: 0.029 })).toBe(49);
    expect(saturated(100, 20).drained({ rttMs: 20, inflight: 98, error: 0.03 })).toBe(110);
    expect(saturated(10, 20).drained({ rttMs: 22, inflight: 20 })).toBe(7);
  });

  it('one call alone waits in no queue, and less than one cannot be let in', () => {
    const alone = saturated(1, 20);
    alone.drained({ inflight: 1, rttMs: 21 });
    expect(alone.law.minRttMs).toBeGreaterThan(20.9);
    const two = saturated(1, 20);
    expect(two.drained({ inflight: 1.5, rttMs: 21 })).toBe(2);
    expect(two.law.minRttMs).toBeCloseTo(20, 9);
  });

  it('without refusals more is more, and drops beyond the headroom are too much', () => {
    const unlimited = { limited: false, rttMs: 20, throughput: 5 };
    const { law, learn, drained } = saturated(100, 20);
    drained();
    expect(learn({ ...unlimited, throughput: 10 })).toBe(220);
    expect(learn({ ...unlimited, droppedRatio: 0.1 })).toBe(220);
    expect(learn({ ...unlimited, droppedRatio: 0.2 })).toBe(176);
    expect(law.minRttMs).toBeCloseTo(20, 9);
  });

  it.each([
    [100, 0.06],
    [2, 0.3],
  ])('never stops following: of %i places a change of %d counts as one error of the mean', (places, matters) => {
    const { law, learn, drained } = saturated(places, 20);
    drained();
    for (let i = 0; i < 200; i++) learn({ error: 0.1 }, 0);
    const [before, rttMs] = [law.capacity, (20 * law.limit) / places / 1.1];
    learn({ error: 0.1, rttMs }, 0);
    expect(Math.log(law.capacity / before) / Math.log(1.1)).toBeCloseTo(1 / (1 + 0.01 / matters ** 2), 2);
  });

  it('is as sure of the throughput after little traffic as before', () => {
    const { law, learn, drained } = saturated(100, 20);
    drained();
    learn();
    learn({ limited: false, rttMs: 20, throughput: 1, error: 0.5 });
    const before = law.capacity;
    learn({ error: 0.1, rttMs: (20 * law.limit) / 100 / 1.1 });
    expect(Math.log(law.capacity / before) / Math.log(1.1)).toBeCloseTo(1 / (1 + 0.01 / 0.06 ** 2), 2);
  });

  it('begins as if for the first time after it has forgotten', () => {
    const { law, begin, learn, drained, callee } = saturated(100, 20);
    drained();
    law.forget();
    expect([law.isKnown, law.limit]).toEqual([false, Infinity]);
    callee.places = 10;
    begin({ inflight: 10, throughput: 0.5, error: 0.001 });
    expect(law.limit).toBe(11);
    expect(learn()).toBe(8);
    law.forget();
    begin({ inflight: 10, throughput: 0.5, error: 0.001 });
    callee.places = 20;
    // Twice as much is growth, not a fall from what was forgotten.
    expect(learn({ inflight: 20 })).toBe(24);
  });

  it('keeps within new bounds at once', () => {
    const { law } = saturated(100, 20);
    law.setBounds({ minLimit: 2, maxLimit: 50.5 });
    expect(law.limit).toBe(50);
    law.setBounds({ minLimit: 2, maxLimit: 500 });
    expect(law.limit).toBe(110);
    law.forget();
    law.setBounds({ minLimit: 2, maxLimit: 7.5 });
    expect(law.limit).toBe(7);
  });
});
