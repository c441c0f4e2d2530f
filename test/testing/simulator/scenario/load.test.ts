import { pipeline } from 'evenkeel';
import { type Scenario, simulate } from 'evenkeel/testing';
import { describe, expect, it, vi } from 'vitest';
import { arrivalAfter, stretchesOf } from '../../../../src/testing/simulator/scenario/arrivals.js';
import { BASE, play, spy } from '../play.js';

// On a busy machine: what is played is virtual time, but it has to be played.
vi.setConfig({ testTimeout: 60_000 });

describe('load', () => {
  const offered = async (load: Scenario['load'], durationMs = 10_000): Promise<number[]> => {
    const backend = { workers: Infinity, serviceTimeMs: 0 };
    return (await simulate({ seed: 3, durationMs, intervalMs: 1_000, load, backend })).series.map((one) => one.offered);
  };

  it('comes at even distances, or at random with the same mean', async () => {
    expect(await offered({ arrivals: 'constant', ratePerSecond: 50, fromMs: 2_000, toMs: 5_000 })).toEqual([
      0, 0, 49, 50, 50, 0, 0, 0, 0, 0,
    ]);
    const counts = await offered({ arrivals: 'poisson', ratePerSecond: 100 }, 1_000_000);
    const mean = counts.reduce((a, b) => a + b, 0) / 1_000;
    const variance = counts.reduce((sum, n) => sum + (n - mean) ** 2, 0) / 1_000;
    expect(Math.abs(mean - 100)).toBeLessThan(5 * Math.sqrt(100 / 1_000));
    // As many as the mean, in a Poisson process; five standard deviations of that estimate.
    expect(Math.abs(variance / mean - 1)).toBeLessThan(5 * Math.sqrt(2 / 1_000));
  });

  it('changes in steps and along ramps', async () => {
    const steps = [
      { atMs: 0, ratePerSecond: 10 },
      { atMs: 3_000, ratePerSecond: 100 },
      { atMs: 4_000, ratePerSecond: 0 },
      { atMs: 9_000, ratePerSecond: 100, ramp: true },
    ];
    // 5 s up to 100 a second: 10, 30, 50, 70, 90.
    const counts = await offered({ arrivals: 'constant', ratePerSecond: steps });
    expect(counts.map((n) => Math.round(n / 5) * 5)).toEqual([10, 10, 10, 100, 10, 30, 50, 70, 90, 100]);
  });

  it('comes exactly when a rate that grows or falls in a straight line says', () => {
    const rising = stretchesOf([{ atMs: 10_000, ratePerSecond: 100, ramp: true }], 0, Infinity);
    // n calls have come after √(2n / slope).
    for (const n of [1, 10, 500]) expect(arrivalAfter(rising, 0, n)).toBeCloseTo(1_000 * Math.sqrt((2 * n) / 10), 6);
    expect(arrivalAfter(rising, 0, 600)).toBeCloseTo(11_000, 6);
    const falling = stretchesOf(
      [
        { atMs: 0, ratePerSecond: 100, ramp: false },
        { atMs: 10_000, ratePerSecond: 0, ramp: true },
      ],
      0,
      Infinity,
    );
    expect(arrivalAfter(falling, 0, 375)).toBeCloseTo(5_000, 6);
    expect(arrivalAfter(falling, 5_000, 124.99)).toBeGreaterThan(9_900);
    expect(arrivalAfter(falling, 0, 501)).toBe(Infinity);
  });

  it('comes in bursts', async () => {
    expect(await offered({ arrivals: 'bursts', calls: 20, everyMs: 2_500, fromMs: 500 })).toEqual([
      20, 0, 0, 20, 0, 20, 0, 0, 20, 0,
    ]);
  });

  it('comes from users, who wait for their answer', async () => {
    const users = { arrivals: 'users', users: 10, thinkTimeMs: 80 } as const;
    // Ten users in a circle of 80 + 20 ms.
    expect((await play({ load: users, backend: { workers: 10, serviceTimeMs: 20 } })).totals.offered).toBe(1_000);
    // One worker: no more than it can do, and nobody is impatient.
    const slow = await play({ load: users, backend: { workers: 1, serviceTimeMs: 20 } });
    expect(slow.totals.offered - slow.totals.unfinished).toBe(496);
    expect(slow.totals.goodput).toBe(496);
  });

  it('has tiers, keys and costs, which reach both pipelines', async () => {
    const seen: unknown[] = [];
    const see = spy(({ tier, key, cost, deadline: until }) => seen.push([tier, key, cost, until]));
    const report = await play({
      load: { arrivals: 'bursts', calls: 1, everyMs: 60_000, tier: 2, key: 'a', cost: 5 },
      client: { timeoutMs: 700, pipeline: () => pipeline(see) },
      backend: { ...BASE.backend, pipeline: () => pipeline(see) },
    });
    expect(seen).toEqual([
      [2, 'a', 5, 700],
      [2, 'a', 5, 700],
    ]);
    expect([Object.keys(report.totals.tiers), Object.keys(report.totals.keys)]).toEqual([['2'], ['a']]);
  });

  it('counts 32 keys apart and all others together', async () => {
    let n = 0;
    const { totals } = await play({ load: { ...BASE.load, key: () => `key-${n++}` } });
    expect(Object.keys(totals.keys)).toHaveLength(33);
    expect(totals.keys.others?.offered).toBe(totals.offered - 32);
  });
});
