/** What the pictures of one run and of several have in common. */
import type { Interval } from './figures.js';
import { niceTicks, type Panel, type Point, type Series } from './line-chart.js';
import type { Report } from './report.js';

export const HEIGHT = 150;
export const LOW_HEIGHT = 100;

/** The x axis in seconds, or in ms where the run is short. */
export function axisOf(durationMs: number): {
  unitMs: number;
  x: { label: string; min: number; max: number; ticks: number[] };
} {
  const unitMs = durationMs >= 5_000 ? 1_000 : 1;
  const max = durationMs / unitMs;
  const ticks = niceTicks(max, 6).filter((tick) => tick <= max);
  return { unitMs, x: { label: unitMs === 1 ? 'time, ms' : 'time, s', min: 0, max, ticks } };
}

/** `durationMs` of the axis that they are drawn over. */
export function pointsOf(
  report: Report,
  value: (interval: Interval) => number,
  durationMs = report.durationMs,
): Point[] {
  const { unitMs } = axisOf(durationMs);
  return report.series.map((interval) => {
    const y = value(interval);
    return [(interval.fromMs + interval.toMs) / 2 / unitMs, Number.isFinite(y) ? y : Number.NaN];
  });
}

export const perSecond =
  (count: (interval: Interval) => number) =>
  (interval: Interval): number =>
    (count(interval) * 1_000) / (interval.toMs - interval.fromMs);

export function panelOf(title: string, height: number, series: readonly Series[], atLeast = 0): Panel {
  let most = atLeast;
  for (const { points } of series) for (const [, y] of points) if (y > most) most = y;
  const ticks = niceTicks(most, height > LOW_HEIGHT ? 4 : 2);
  return { title, height, max: ticks.at(-1) as number, ticks, series };
}

export const percent = (ratio: number): string =>
  Number.isNaN(ratio) ? 'none' : `${Math.round(ratio * 1_000) / 10} %`;

export const timeText = (durationMs: number): string =>
  `${axisOf(durationMs).x.max.toLocaleString('en')} ${durationMs >= 5_000 ? 's' : 'ms'}`;
