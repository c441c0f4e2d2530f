/** A report as a picture. */
import type { BackendFigures, Interval } from './figures.js';
import { type Colour, lineChart, type Panel, type Series } from './line-chart.js';
import { axisOf, HEIGHT, LOW_HEIGHT, panelOf, percent, perSecond, pointsOf, timeText } from './panels.js';
import type { Report } from './report.js';

const COLOURS: readonly Colour[] = ['red', 'orange', 'purple', 'blue', 'green', 'grey'];
/** More lines than this in one panel cannot be told apart. */
const MAX_LINES = COLOURS.length;

/** Of a policy's state: what is worth a line, and what belongs into one panel with it. */
const STATES: readonly (readonly string[])[] = [
  ['rejectProbability'],
  ['limit', 'inflight', 'queued'],
  ['timeoutMs', 'emaMs'],
  ['window'],
  ['shedRatio'],
  ['tokens'],
  ['used', 'remaining'],
];

/** Whether a line says anything. */
const isFlatZero = ({ points }: Series): boolean => points.every(([, y]) => Number.isNaN(y) || y === 0);

function callsPanel(report: Report): Panel {
  const line = (label: string, colour: Colour, count: (interval: Interval) => number): Series => ({
    label,
    colour,
    points: pointsOf(report, perSecond(count)),
  });
  const ends = [line('errors', 'red', ({ errors }) => errors), line('timeouts', 'orange', ({ timeouts }) => timeouts)];
  return panelOf('Calls per second', HEIGHT, [
    { ...line('offered', 'grey', ({ offered }) => offered), as: 'dashes' },
    line('goodput', 'green', ({ goodput }) => goodput),
    ...ends.filter((series) => !isFlatZero(series)),
  ]);
}

function refusalsPanel(report: Report): Panel[] {
  const series = Object.keys(report.totals.refusedBy)
    .slice(0, MAX_LINES)
    .map((reason, i) => ({
      label: reason.replaceAll('_', ' '),
      colour: COLOURS[i] as Colour,
      points: pointsOf(
        report,
        perSecond(({ refusedBy }) => refusedBy[reason] ?? 0),
      ),
    }));
  return series.length === 0 ? [] : [panelOf(titleWith('Refused calls per second', series), LOW_HEIGHT, series)];
}

/** A single line has no legend: the title says what it is. */
const titleWith = (title: string, series: readonly Series[]): string =>
  series.length === 1 ? `${title}: ${series[0]?.label}` : title;

function latencyPanel(report: Report): Panel {
  return panelOf('Latency of the answers, ms', HEIGHT, [
    { label: '50 %', colour: 'green', points: pointsOf(report, ({ p50Ms }) => p50Ms) },
    { label: '90 %', colour: 'orange', points: pointsOf(report, ({ p90Ms }) => p90Ms) },
    { label: '99 %', colour: 'red', points: pointsOf(report, ({ p99Ms }) => p99Ms) },
  ]);
}

function backendPanels(report: Report): Panel[] {
  const names = Object.keys(report.totals.backends).slice(0, MAX_LINES);
  const lines = (value: (figures: BackendFigures, interval: Interval) => number): Series[] =>
    names.map((name, i) => ({
      label: name,
      colour: COLOURS[(i + 3) % MAX_LINES] as Colour,
      points: pointsOf(report, (interval) => value(interval.backends[name] as BackendFigures, interval)),
    }));
  const received = lines((figures, interval) => perSecond(() => figures.received)(interval));
  const busy = lines(({ busyRatio }) => 100 * busyRatio);
  const queued = lines(({ queueLength }) => queueLength);
  const panels = [panelOf(titleWith('Calls per second that reach the back-ends', received), LOW_HEIGHT, received)];
  if (!busy.every(isFlatZero)) panels.push(panelOf(titleWith('Busy workers, %', busy), LOW_HEIGHT, busy, 100));
  if (!queued.every(isFlatZero)) panels.push(panelOf(titleWith('Waiting calls', queued), LOW_HEIGHT, queued));
  return panels;
}

function policyPanels(report: Report): Panel[] {
  // In the last interval there are those too that are watched only since some time in the run.
  return Object.keys((report.series.at(-1) as Interval).policies).flatMap((name) => {
    const states = report.series.map(({ policies }) => policies[name] ?? {});
    const fields = [...new Set(states.flatMap(Object.keys))];
    const moving = fields.filter((field) => moves(states.map((state) => state[field])));
    const chosen = STATES.map((fields) => fields.filter((field) => moving.includes(field))).find(
      ({ length }) => length > 0,
    );
    const series = (chosen ?? moving.slice(0, 1)).map((field, i) => ({
      label: field,
      colour: (['purple', 'blue', 'grey'] as const)[i] as Colour,
      points: pointsOf(report, ({ policies }) => numberOf(policies[name]?.[field])),
    }));
    return series.length === 0 ? [] : [panelOf(titleWith(name, series), LOW_HEIGHT, series)];
  });
}

const numberOf = (value: unknown): number => (typeof value === 'number' ? value : Number.NaN);

/** Whether they are numbers that are not all the same. */
function moves(values: readonly unknown[]): boolean {
  const known = values.map(numberOf).filter(Number.isFinite);
  return known.length > 1 && new Set(known).size > 1;
}

/** A picture of one run. */
export function drawReport(report: Report): string {
  const { totals } = report;
  return lineChart({
    title: report.name,
    subtitle: `${totals.offered.toLocaleString('en')} calls in ${timeText(report.durationMs)} of virtual time, ${percent(totals.goodputRatio)} answered well. Seed ${report.seed}.`,
    summary: `Of ${totals.offered} calls ${totals.goodput} were answered well, ${totals.errors} failed, ${totals.timeouts} were given up and ${totals.refused} refused.`,
    x: axisOf(report.durationMs).x,
    panels: [
      callsPanel(report),
      ...refusalsPanel(report),
      latencyPanel(report),
      ...backendPanels(report),
      ...policyPanels(report),
    ],
  });
}
