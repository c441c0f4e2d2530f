/** The figures that the balancer is for, in virtual time: three instances, 300 calls a second, default settings. */
import { describe, expect, it } from 'vitest';
import {
  dead,
  failing,
  leastOkRatio,
  okRatio,
  type PoolRun,
  perSecondTo,
  runPool,
  well,
} from '../../simulation/pool.js';

const MINUTE = 60_000;
const DIES = 30_000;
const RISES = 150_000;
const END = 300_000;

const outage = (changes: Partial<PoolRun> = {}) =>
  runPool({
    instances: { a: well(), b: well(), c: dead(DIES, RISES) },
    durationMs: END,
    perSecond: 300,
    ...changes,
  });

const ARRIVALS = ['constant', 'poisson'] as const;

describe('one of three instances dies', () => {
  it('66.7 % of the calls succeed without tolerance', () => {
    // What tolerates nothing: never masks, never weighs.
    const options = { consecutiveFailures: 1_000_000_000, maskRatio: 0, minRequests: 1_000_000_000 };
    const { calls } = outage({ options });
    expect(okRatio(calls, DIES, RISES)).toBeCloseTo(2 / 3, 3);
  });

  it.each(ARRIVALS)('99.9 %% and more in any minute from 1 s after the death, %s arrivals', (arrivals) => {
    for (const seed of [1, 2, 3]) {
      const { calls } = outage({ arrivals, seed });
      expect(leastOkRatio(calls, MINUTE, DIES + 1_000, RISES)).toBeGreaterThanOrEqual(0.999);
    }
  });

  it('99.9 % also when each call to it takes a second to fail', () => {
    const { calls } = outage({ instances: { a: well(), b: well(), c: dead(DIES, RISES, 1_000) } });
    expect(leastOkRatio(calls, MINUTE, DIES + 1_000, RISES)).toBeGreaterThanOrEqual(0.999);
  });

  it('the survivors get half as many calls again', () => {
    const { calls } = outage();
    for (const survivor of ['a', 'b']) {
      const increase = perSecondTo(calls, survivor, DIES + 1_000, RISES) / perSecondTo(calls, survivor, 0, DIES) - 1;
      expect(increase).toBeGreaterThan(0.49);
      expect(increase).toBeLessThan(0.51);
    }
  });

  it.each(ARRIVALS)(
    'it is back to its full share within 30 s of its recovery, without a dip, %s arrivals',
    (arrivals) => {
      for (const seed of [1, 2, 3]) {
        const { calls, states, pool } = outage({ arrivals, seed });
        expect(states.map(({ state }) => state)).toEqual(['masked', 'recovering', 'up']);
        expect((states[2]?.at as number) - RISES).toBeLessThan(30_000);
        expect(perSecondTo(calls, 'c', RISES + 30_000, END)).toBeCloseTo(100, arrivals === 'constant' ? 0 : -1);
        // Any minute with a moment of the recovery in it.
        expect(leastOkRatio(calls, MINUTE, RISES - MINUTE)).toBeGreaterThanOrEqual(0.999);
        expect(pool.snapshot().instances[2]).toMatchObject({ state: 'up', weight: 1 });
      }
    },
  );

  it('comes back in small steps', () => {
    for (const ramp of ['linear', 'exponential'] as const) {
      const weights: number[] = [];
      outage({
        options: { ramp },
        before: (at, pool) => {
          if (at >= RISES) weights.push(pool.snapshot().instances[2]?.weight as number);
        },
      });
      const rises = weights.slice(1).map((weight, i) => [weights[i] as number, weight] as const);
      const jumps = rises.filter(([before, after]) => {
        const most = ramp === 'linear' ? before + 0.0501 : before === 0 ? 0.01 : before * 1.26;
        return after < before || after > most;
      });
      expect(jumps).toEqual([]);
      expect(weights.at(-1)).toBe(1);
    }
  });

  it('probes cost no more than doing nothing would where calls are few, a tenth in larger pools', () => {
    for (const perSecond of [0.01, 0.1, 1]) {
      const instances = { a: well(), b: well(), c: dead(0) };
      const durationMs = 1_000_000 / perSecond;
      expect(okRatio(runPool({ instances, durationMs, perSecond }).calls, 20_000 / perSecond)).toBeGreaterThan(0.66);
      const ten = Object.fromEntries(Array.from('abcdefghijkl', (name, i) => [name, i === 3 ? dead(0) : well()]));
      expect(okRatio(runPool({ instances: ten, durationMs, perSecond }).calls, 100_000 / perSecond)).toBeGreaterThan(
        0.89,
      );
    }
  });

  it('recovers also where calls are few, by a probe every 5 s', () => {
    const { states } = outage({ perSecond: 2, durationMs: 400_000 });
    expect(states.map(({ state }) => state)).toEqual(['masked', 'recovering', 'up']);
    expect((states[2]?.at as number) - RISES).toBeLessThan(110_000);
  });
});

it('one of three instances that fails 10 % of its calls sheds two thirds of its share, without flapping', () => {
  const { calls, states, pool } = runPool({
    instances: { a: well(), b: well(), c: failing(0.1) },
    durationMs: 10 * MINUTE,
    perSecond: 300,
  });
  expect(perSecondTo(calls, 'c', 10_000, 10 * MINUTE)).toBeLessThan(100 / 3 + 3);
  // And with it of the failures.
  expect(okRatio(calls, 10_000)).toBeGreaterThan(0.988);
  expect(pool.snapshot().instances[2]?.successRatio).toBeGreaterThan(0.8);
  // No change of state, and every half minute about the same share.
  expect(states).toEqual([]);
  for (let from = 10_000; from < 10 * MINUTE - 30_000; from += 30_000) {
    const share = perSecondTo(calls, 'c', from, from + 30_000) / 300;
    expect(share).toBeGreaterThan(0.05);
    expect(share).toBeLessThan(0.18);
  }
  for (const other of pool.snapshot().instances.slice(0, 2))
    expect(other).toMatchObject({ weight: 1, successRatio: 1 });
});

describe('an instance that fails half of its calls', () => {
  it('is masked, and hardly tried again: each relapse asks for more good probes', () => {
    const { calls, states } = runPool({
      instances: { a: well(), b: well(), c: failing(0.5) },
      durationMs: 10 * MINUTE,
      perSecond: 300,
    });
    expect(okRatio(calls, 10_000)).toBeGreaterThan(0.999);
    expect(states.filter(({ state }) => state === 'up')).toEqual([]);
  });
});

describe('all instances fail', () => {
  it('they get their shares as if none did, and are up soon after', () => {
    const ill = dead(DIES, 60_000);
    const { calls, states, pool } = runPool({
      instances: { a: ill, b: ill, c: ill },
      durationMs: 120_000,
      perSecond: 300,
    });
    for (const one of ['a', 'b', 'c']) expect(perSecondTo(calls, one, DIES + 1_000, 60_000)).toBeCloseTo(100, 0);
    expect(states.filter(({ state }) => state === 'up').map(({ instance }) => instance)).toHaveLength(3);
    expect(okRatio(calls, 60_000)).toBe(1);
    expect(pool.snapshot().panic).toBe(false);
  });
});

describe('too many instances die', () => {
  const instances = { a: well(), b: well(), c: dead(DIES), d: dead(DIES), e: dead(DIES) };

  it('all get their shares: the two that are left could not bear it all', () => {
    const { calls, pool } = runPool({ instances, durationMs: 120_000, perSecond: 300 });
    expect(pool.snapshot().panic).toBe(true);
    for (const one of Object.keys(instances)) expect(perSecondTo(calls, one, DIES + 1_000, 120_000)).toBeCloseTo(60, 0);
  });

  it('also where calls are few: none of them is a probe', () => {
    const { calls } = runPool({
      instances,
      durationMs: 10_000_000,
      perSecond: 0.1,
      options: { consecutiveFailures: 1 },
    });
    for (const one of Object.keys(instances)) expect(perSecondTo(calls, one, 100_000, 10_000_000)).toBeCloseTo(0.02, 3);
  });

  it('unless told that they can', () => {
    const { calls, pool } = runPool({ instances, durationMs: 120_000, perSecond: 300, options: { panicRatio: 0.6 } });
    expect(pool.snapshot().panic).toBe(false);
    expect(leastOkRatio(calls, MINUTE, DIES + 1_000)).toBeGreaterThanOrEqual(0.999);
  });

  it('nobody gets more than twice its share while they come back', () => {
    const back = dead(DIES, 60_000);
    const { calls } = runPool({
      instances: { a: well(), b: back, c: back },
      durationMs: 120_000,
      perSecond: 300,
    });
    for (let at = 60_000; at < 119_000; at += 1_000)
      expect(perSecondTo(calls, 'a', at, at + 1_000)).toBeLessThanOrEqual(201);
    expect(okRatio(calls, 60_000)).toBe(1);
  });
});

describe("choice: 'latency'", () => {
  it('keeps calls away from a slow instance, and hears of it when it is fast again', () => {
    const slow = (at: number) => ({ ok: true, takesMs: at >= DIES && at < 60_000 ? 500 : 20 });
    const { calls } = runPool({
      instances: { a: well(), b: well(), c: slow },
      durationMs: 180_000,
      perSecond: 300,
      options: { choice: 'latency' },
    });
    expect(perSecondTo(calls, 'c', 0, DIES)).toBeGreaterThan(80);
    expect(perSecondTo(calls, 'c', DIES + 1_000, 60_000)).toBeLessThan(5);
    expect(perSecondTo(calls, 'c', 120_000, 180_000)).toBeGreaterThan(80);
  });

  it('masks and recovers as ever', () => {
    for (const takesMs of [1, 1_000]) {
      const { calls, states } = outage({
        instances: { a: well(), b: well(), c: dead(DIES, RISES, takesMs) },
        options: { choice: 'latency' },
      });
      expect(leastOkRatio(calls, MINUTE, DIES + 1_100)).toBeGreaterThanOrEqual(0.999);
      expect(states.map(({ state }) => state)).toEqual(['masked', 'recovering', 'up']);
    }
  });
});
