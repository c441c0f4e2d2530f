/** The figures and the table of a growth run. */
import { lineChart } from '../../src/testing/simulator/report/line-chart.js';
import { figure, machineText, nsText, table, warnings } from '../kit/report.js';
import { type Machine, machineDoubts } from '../kit/results.js';
import { median } from '../kit/stats.js';
import { type Fit, fitOf, type Measured } from './fit.js';
import type { Sweep } from './sweeps.js';

export interface GrowthPoint {
  sweep: string;
  series: string;
  count: number;
  nsByRound: number[];
}

export interface GrowthRun {
  startedAt: string;
  machine: Machine;
  rounds: number;
  points: GrowthPoint[];
}

export function pointsOf(run: GrowthRun, sweep: Sweep, series: string): Measured[] {
  const own = run.points.filter((one) => one.sweep === sweep.name && one.series === series);
  return own.map(({ count, nsByRound }) => [count, median(nsByRound)]);
}

/** How ours grows: beside a floor, how its ratio to that does, since memory gets slower for both. */
export function growthOf(run: GrowthRun, sweep: Sweep, series: string): Fit {
  const floor = sweep.series.find((one) => one.isFloor);
  const ours = pointsOf(run, sweep, series);
  if (floor === undefined) return fitOf(ours);
  const below = new Map(pointsOf(run, sweep, floor.name));
  return fitOf(ours.map(([count, ns]) => [count, ns / (below.get(count) ?? Number.NaN)]));
}

function growthText({ shape, base, slope }: Fit, isRatio: boolean, of: string): string {
  const unit = isRatio ? '' : ' ns';
  if (shape === 'flat') return isRatio ? `flat: ${figure(base)} × the floor` : 'flat';
  const each = shape === 'linear' ? `each of the ${of}` : `each doubling of the ${of}`;
  return `${shape}: ${each} adds ${Number(slope.toPrecision(2))}${unit}${isRatio ? ' × the floor' : ''}`;
}

const COLOURS = ['blue', 'orange', 'green'] as const;

/** Ticks at round numbers, about four of them. */
function ticksUpTo(max: number): number[] {
  const rough = max / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = ([1, 2, 5, 10].find((one) => one * power >= rough) ?? 10) * power;
  return Array.from({ length: Math.floor(max / step) + 1 }, (_, i) => i * step);
}

export function growthChart(run: GrowthRun, sweep: Sweep): string {
  const all = sweep.series.map((series) => ({ series, points: pointsOf(run, sweep, series.name) }));
  const most = Math.max(...all.flatMap(({ points }) => points.map(([, ns]) => ns)));
  const max = most * 1.15;
  const logs = sweep.counts.map(Math.log10);
  return lineChart({
    title: sweep.title,
    subtitle: `ns each, medians of ${run.rounds} rounds; Node ${run.machine.node}, ${run.machine.cpu}`,
    summary: all
      .map(({ series, points }) => `${series.name}: ${points.map(([n, ns]) => `${n}: ${nsText(ns)} ns`).join(', ')}`)
      .join('; '),
    x: {
      label: sweep.of,
      min: Math.min(...logs),
      max: Math.max(...logs),
      ticks: logs,
      tickText: (tick) => Math.round(10 ** tick).toLocaleString('en'),
    },
    panels: [
      {
        title: 'ns each',
        height: 220,
        max,
        ticks: ticksUpTo(max),
        series: all.map(({ series, points }, i) => ({
          label: series.name,
          colour: series.isFloor ? 'grey' : (COLOURS[i % COLOURS.length] as 'blue'),
          ...(series.isFloor && { as: 'dashes' as const }),
          points: points.map(([count, ns]) => [Math.log10(count), ns] as const),
          endLabel: `${nsText(points.at(-1)?.[1] ?? 0)} ns`,
        })),
      },
    ],
  });
}

/** @param folder where the figures are, seen from the page */
export function growthMarkdown(run: GrowthRun, chosen: readonly Sweep[], folder: string): string {
  const rows = chosen.flatMap((sweep) =>
    sweep.series
      .filter((series) => !series.isFloor)
      .map((series) => {
        const points = pointsOf(run, sweep, series.name);
        const [fewest, most] = [points[0], points.at(-1)] as [Measured, Measured];
        const at = ([count, ns]: Measured): string => `${nsText(ns)} ns at ${count.toLocaleString('en')}`;
        const fit = growthOf(run, sweep, series.name);
        const hasFloor = sweep.series.some((one) => one.isFloor);
        return [sweep.of, series.name, at(fewest), at(most), growthText(fit, hasFloor, sweep.of)];
      }),
  );
  return [
    `${run.startedAt.slice(0, 10)}, ${machineText(run.machine)}; medians of ${run.rounds} rounds.`,
    ...warnings(machineDoubts(run.machine)),
    table(['number of', 'what', 'fewest', 'most', 'growth'], rows),
    ...chosen.map((sweep) => `![${sweep.title}](${folder}/${sweep.name}.svg)`),
  ].join('\n\n');
}
