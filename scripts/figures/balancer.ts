import type { BalancerOptions } from 'evenkeel';
import {
  dead,
  failing,
  okRatio,
  type PoolCall,
  type PoolRun,
  perSecondTo,
  runPool,
  well,
} from '../../test/simulation/pool.js';
import { type Colour, lineChart, type Point } from './line-chart.js';

const SECOND = 1_000;
const COLOURS: Record<string, Colour> = { a: 'blue', b: 'green', c: 'red' };

const INTOLERANT: Partial<BalancerOptions<string>> = {
  consecutiveFailures: 1_000_000_000,
  minRequests: 1_000_000_000,
};

/** Something of each bin of the run. */
function perBin(endS: number, binS: number, value: (fromMs: number, toMs: number) => number): Point[] {
  return Array.from({ length: endS / binS }, (_, bin): Point => {
    const from = bin * binS * SECOND;
    return [(bin + 0.5) * binS, value(from, from + binS * SECOND)];
  });
}

const loads = (calls: readonly PoolCall[], names: readonly string[], endS: number) =>
  names.map((name) => ({
    label: name,
    colour: COLOURS[name] as Colour,
    endLabel: name,
    // It lies on a's line.
    ...(name === 'b' && { as: 'dashes' as const }),
    points: perBin(endS, 1, (from, to) => perSecondTo(calls, name, from, to)),
  }));

/** One of three instances dies and comes back. */
export function balancerOutageChart(): string {
  const [from, to, end] = [20, 80, 120];
  const run: PoolRun = {
    instances: { a: well(), b: well(), c: dead(from * SECOND, to * SECOND) },
    durationMs: end * SECOND,
    perSecond: 300,
  };
  const weights: Point[] = [];
  const before: NonNullable<PoolRun['before']> = (at, pool) => {
    if (at / SECOND >= (weights.at(-1)?.[0] ?? -1) + 0.25)
      weights.push([at / SECOND, pool.snapshot().instances[2]?.weight as number]);
  };
  const { calls } = runPool({ ...run, before });
  const bare = runPool({ ...run, options: INTOLERANT }).calls;
  const least = Math.min(
    ...perBin(to, 1, (a, b) => (a >= (from + 1) * SECOND ? okRatio(calls, a, b) : 1)).map(([, y]) => y),
  );
  return lineChart({
    title: 'One of three instances dies and comes back, 300 calls per second',
    subtitle: 'Default settings. The dead one refuses each call at once. Virtual time, the real library.',
    summary:
      'c is masked within 0.1 s of its death; a and b get 150 calls per second each instead of 100. A probe each 5 s is all that c gets, so ' +
      `${(okRatio(calls, (from + 1) * SECOND, to * SECOND) * 100).toFixed(2)} % of the calls succeed, in no second less than ` +
      `${(least * 100).toFixed(1)} %, where turns without tolerance lose a third. Once well, c is back at its full weight in about 15 s.`,
    x: { label: 'time, s', min: 0, max: end, ticks: [0, 20, 40, 60, 80, 100, 120] },
    spans: [{ from, to, label: 'c is dead' }],
    panels: [
      {
        title: 'Calls that succeed, %',
        height: 110,
        max: 105,
        ticks: [0, 50, 100],
        series: [
          { label: 'balancer', colour: 'purple', points: perBin(end, 1, (a, b) => okRatio(calls, a, b) * 100) },
          {
            label: 'turns, nothing masked',
            colour: 'grey',
            as: 'dashes',
            points: perBin(end, 1, (a, b) => okRatio(bare, a, b) * 100),
          },
        ],
      },
      {
        title: 'Calls per s to',
        height: 130,
        max: 160,
        ticks: [0, 50, 100, 150],
        series: loads(calls, ['a', 'b', 'c'], end),
      },
      {
        title: 'Weight of c',
        height: 90,
        max: 1.05,
        ticks: [0, 0.5, 1],
        series: [{ label: 'weight of c', colour: 'red', points: weights }],
      },
    ],
  });
}

/** One of three instances fails a tenth of its calls for a while. */
export function balancerPartialChart(): string {
  const [from, to, end] = [20, 100, 140];
  const unhealthy = failing(0.1);
  const { calls, states } = runPool({
    instances: {
      a: well(),
      b: well(),
      c: (at, random) => (at >= from * SECOND && at < to * SECOND ? unhealthy : well())(at, random),
    },
    durationMs: end * SECOND,
    perSecond: 300,
  });
  const [start, stop] = [(from + 10) * SECOND, to * SECOND];
  return lineChart({
    title: 'One of three instances fails 10 % of its calls',
    subtitle: 'Default settings, 300 calls per second. Virtual time, the real library.',
    summary:
      `From 10 s after it begins c gets ${perSecondTo(calls, 'c', start, stop).toFixed(0)} calls per second instead of 100, and ` +
      `${(okRatio(calls, start, stop) * 100).toFixed(1)} % of all calls succeed instead of 96.7 %. Changes of state: ${states.length}.`,
    x: { label: 'time, s', min: 0, max: end, ticks: [0, 20, 40, 60, 80, 100, 120, 140] },
    spans: [{ from, to, label: 'c fails 10 %' }],
    panels: [
      {
        title: 'Calls per s to',
        height: 160,
        max: 160,
        ticks: [0, 50, 100, 150],
        series: loads(calls, ['a', 'b', 'c'], end),
      },
    ],
  });
}
