import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fitOf } from '../../bench/growth/fit.js';
import { type GrowthRun, growthChart, growthMarkdown, growthOf } from '../../bench/growth/report.js';
import { type Sweep, sweeps } from '../../bench/growth/sweeps.js';
import { machine } from '../../bench/kit/results.js';

const COUNTS = [1, 10, 100, 1_000, 10_000];
const points = (cost: (count: number) => number) => COUNTS.map((count) => [count, cost(count)] as const);

describe('the fit', () => {
  it('knows flat, logarithmic and linear costs', () => {
    expect(fitOf(points(() => 100))).toEqual({ shape: 'flat', base: 100, slope: 0 });
    const logarithmic = fitOf(points((count) => 50 + 10 * Math.log2(count)));
    expect(logarithmic.shape).toBe('logarithmic');
    expect(logarithmic.slope).toBeCloseTo(10);
    const linear = fitOf(points((count) => 50 + 3 * count));
    expect(linear.shape).toBe('linear');
    expect(linear.slope).toBeCloseTo(3);
  });

  it('does so with 5 % of noise', () => {
    fc.assert(
      fc.property(
        fc.array(fc.double({ min: 0.95, max: 1.05, noNaN: true }), { minLength: 5, maxLength: 5 }),
        (noise) => {
          const noisy = (cost: (count: number) => number) =>
            fitOf(COUNTS.map((count, i) => [count, cost(count) * (noise[i] as number)])).shape;
          expect(noisy(() => 100)).toBe('flat');
          expect(noisy((count) => 50 + 10 * Math.log2(count))).toBe('logarithmic');
          expect(noisy((count) => 50 + 3 * count)).toBe('linear');
        },
      ),
    );
  });

  it('takes what gets cheaper for flat', () => {
    expect(fitOf(points((count) => 200 - 10 * Math.log10(count))).shape).toBe('flat');
  });
});

describe('the report', () => {
  const sweep: Sweep = {
    name: 'things',
    title: 'Things',
    of: 'things',
    counts: COUNTS,
    series: [
      { name: 'ours', setup: () => () => {} },
      { name: 'floor', isFloor: true, setup: () => () => {} },
    ],
  };
  const run: GrowthRun = {
    startedAt: '2026-01-01T00:00:00.000Z',
    machine: machine(),
    rounds: 1,
    points: COUNTS.flatMap((count) => [
      { sweep: 'things', series: 'ours', count, nsByRound: [20 * count] },
      { sweep: 'things', series: 'floor', count, nsByRound: [10 * count] },
    ]),
  };

  it('judges the ratio where there is a floor', () => {
    expect(growthOf(run, sweep, 'ours')).toEqual({ shape: 'flat', base: 2, slope: 0 });
    const { series, ...rest } = sweep;
    expect(growthOf(run, { ...rest, series: series.slice(0, 1) }, 'ours').shape).toBe('linear');
  });

  it('has a row for each of ours and draws all', () => {
    const text = growthMarkdown(run, [sweep], 'performance');
    expect(text).toContain('| things | ours | 20 ns at 1 | 200,000 ns at 10,000 | flat: 2 × the floor |');
    expect(text).toContain('performance/things.svg');
    const svg = growthChart(run, sweep);
    expect(svg).toContain('10,000');
    expect(svg).not.toContain('NaN');
  });
});

it('each sweep has a name of its own and rising counts', () => {
  expect(new Set(sweeps.map((one) => one.name)).size).toBe(sweeps.length);
  for (const { counts } of sweeps) expect([...counts].sort((a, b) => a - b)).toEqual(counts);
});
