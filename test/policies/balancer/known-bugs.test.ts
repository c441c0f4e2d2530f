/** What others got wrong (ALGORITHMS section 6.4). */
import { balancer } from 'evenkeel';
import { manualClock } from 'evenkeel/testing';
import { describe, expect, it } from 'vitest';
import { dead, failing, okRatio, perSecondTo, runPool, well } from '../../simulation/pool.js';

describe('bugs of nlb', () => {
  it('a dead instance that succeeds now and then makes all those behind it count as dead', () => {
    const instances = ['first', 'second', 'third', 'fourth'];
    const pool = balancer({ instances, clock: manualClock() });
    for (let i = 0; i < 5; i++) pool.report('first', 'failure', 0);
    pool.report('first', 'ignored', 0);
    const picked = new Set(Array.from({ length: 30 }, () => pool.pick()));
    expect([...picked].sort()).toEqual(['fourth', 'second', 'third']);
    const { calls } = runPool({
      instances: { first: failing(0.7), second: well(), third: well(), fourth: well() },
      durationMs: 120_000,
      perSecond: 100,
    });
    for (const one of ['second', 'third', 'fourth'])
      expect(perSecondTo(calls, one, 10_000, 120_000)).toBeGreaterThan(32);
  });

  it('an index that is not moved on when one is passed over gives its calls to a wrong one', () => {
    const weight: Record<string, number> = { a: 3, b: 1, c: 5, d: 1 };
    const pool = balancer({
      instances: Object.keys(weight),
      weightOf: (one) => weight[one] as number,
      clock: manualClock(),
    });
    for (let i = 0; i < 5; i++) pool.report('b', 'failure', 0);
    const counts: Record<string, number> = { a: 0, b: 0, c: 0, d: 0 };
    for (let i = 0; i < 900; i++) (counts[pool.pick()] as number)++;
    expect(counts.b).toBe(0);
    expect(Math.abs((counts.a as number) - 300)).toBeLessThanOrEqual(2);
    expect(Math.abs((counts.c as number) - 500)).toBeLessThanOrEqual(2);
    expect(Math.abs((counts.d as number) - 100)).toBeLessThanOrEqual(2);
  });

  it('an instance with 3 % errors fades to nothing, though each of its calls would succeed to 97 %', () => {
    const { calls, states, pool } = runPool({
      instances: { a: well(), b: well(), c: failing(0.03) },
      durationMs: 600_000,
      perSecond: 300,
    });
    expect(states).toEqual([]);
    expect(perSecondTo(calls, 'c', 300_000, 600_000)).toBeGreaterThan(70);
    expect(pool.snapshot().instances[2]?.weight).toBeGreaterThan(0.4);
  });

  it('its own settings reach 99.1 %: the share of the probes decides', () => {
    const instances = { a: well(), b: well(), c: dead(0) };
    const run = (options: object): number =>
      okRatio(runPool({ instances, durationMs: 120_000, perSecond: 300, options }).calls, 10_000);
    // One call in a hundred of nlb; half of them are in ours, which counts the gaps.
    expect(run({ probeRatio: 0.02, probeIntervalMs: 300 })).toBeLessThan(0.993);
    expect(run({})).toBeGreaterThan(0.999);
  });
});
