import { describe, expect, it } from 'vitest';
import { compare, floorRatios, newBaseline, tolerances, typicalTolerance } from '../../bench/kit/baseline.js';
import { idOf } from '../../bench/kit/case.js';
import { rotated } from '../../bench/kit/measure.js';
import { groups } from '../../bench/micro/cases/index.js';
import { runOf } from './runs.js';

/** Five runs: `steady` as good as never varies, `shaky` by a tenth, `usual` by a hundredth. */
const RUNS = [0.9, 0.95, 1, 1.05, 1.1].map((by) => {
  const usual = 1 + (by - 1) / 10;
  return runOf({ steady: [2, 2, 2], usual: [3 * usual, 3 * usual, 3 * usual], shaky: [5 * by, 5 * by, 5 * by] });
});

describe('baseline', () => {
  const baseline = newBaseline(RUNS);

  it('has the median ratio of the runs and how much it varied, of ours only', () => {
    expect(Object.keys(newBaseline([runOf({ 'peer a': [1] }), runOf({ 'peer a': [1] })]).cases)).toEqual([]);
    expect(baseline.cases['g / steady']).toEqual({ ratio: 2, spreadRatio: 0 });
    expect(baseline.cases['g / shaky']?.ratio).toBe(5);
    expect(baseline.cases['g / shaky']?.spreadRatio).toBeCloseTo(0.079, 2);
    expect(baseline).toMatchObject({ runs: 5, rounds: 3 });
  });

  it('takes the least of the rounds: a slow phase of the machine changes nothing, whichever it meets', () => {
    expect(floorRatios(runOf({ a: [2, 2, 2] }, [100, 170, 130]))).toEqual({ 'g / a': 2 });
    expect(floorRatios(runOf({ a: [3, 2, 2.5] }))).toEqual({ 'g / a': 2 });
  });

  it('needs two runs', () => {
    expect(() => newBaseline(RUNS.slice(0, 1))).toThrow(RangeError);
  });

  it('lets a case vary as its runs did, but none less than the typical one', () => {
    const allowed = tolerances(baseline);
    expect(allowed['g / steady']).toBe(allowed['g / usual']);
    // Four deviations of 0.79 %, and a tenth for the baseline's own noise.
    expect(allowed['g / usual']).toBeCloseTo(0.035, 2);
    expect(allowed['g / shaky']).toBeGreaterThan(0.3);
    expect(typicalTolerance(baseline)).toBe(allowed['g / usual']);
  });

  it('finds what got slower, faster or is new', () => {
    const found = { 'g / steady': 2.1, 'g / usual': 2.8, 'g / shaky': 5.5, 'g / none': 1 };
    expect(compare(baseline, found).map((one) => one.verdict)).toEqual(['slower', 'faster', 'same', 'new']);
  });

  it('finds nothing in its own runs', () => {
    for (const run of RUNS) {
      expect(new Set(compare(baseline, floorRatios(run)).map((one) => one.verdict))).toEqual(new Set(['same']));
    }
  });
});

describe('cases', () => {
  const ids = groups.flatMap((group) => group.cases.map((one) => idOf(group, one)));

  it('have names of their own', () => {
    expect(new Set(ids).size).toBe(ids.length);
  });

  it('name a floor that their group has', () => {
    for (const { name, cases } of groups) {
      const floors = cases.filter((one) => one.kind === 'floor').map((one) => one.name);
      expect(floors, name).not.toEqual([]);
      for (const { floor } of cases) if (floor !== undefined) expect(floors).toContain(floor);
    }
  });

  it('run in another order each round, all of them', () => {
    const orders = [0, 1, 2].map((round) => rotated(ids, round, 3));
    for (const order of orders) expect([...order].sort()).toEqual([...ids].sort());
    expect(new Set(orders.map(([first]) => first)).size).toBe(3);
  });
});
