/** Reports as pictures. */
import type { BackendFigures, Figures, Interval } from './figures.js';
import { type Colour, lineChart, niceTicks, type Panel, type Point, roomBeside, type Series } from './line-chart.js';
import { OTHER_KEYS } from './meter.js';
import type { Report } from './report.js';

const COLOURS: readonly Colour[] = ['red', 'orange', 'purple', 'blue', 'green', 'grey'];
/** More lines than this in one panel cannot be told apart. */
const MAX_LINES = COLOURS.length;
const HEIGHT = 150;
const LOW_HEIGHT = 100;

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

/** The x axis in seconds, or in ms where the run is short. */
function axisOf(durationMs: number): {
  unitMs: number;
  x: { label: string; min: number; max: number; ticks: number[] };
} {
  const unitMs = durationMs >= 5_000 ? 1_000 : 1;
  const max = durationMs / unitMs;
  const ticks = niceTicks(max, 6).filter((tick) => tick <= max);
  return { unitMs, x: { label: unitMs === 1 ? 'time, ms' : 'time, s', min: 0, max, ticks } };
}

/** `durationMs` of the axis that they are drawn over. */
function pointsOf(report: Report, value: (interval: Interval) => number, durationMs = report.durationMs): Point[] {
  const { unitMs } = axisOf(durationMs);
  return report.series.map((interval) => {
    const y = value(interval);
    return [(interval.fromMs + interval.toMs) / 2 / unitMs, Number.isFinite(y) ? y : Number.NaN];
  });
}

const perSecond =
  (count: (interval: Interval) => number) =>
  (interval: Interval): number =>
    (count(interval) * 1_000) / (interval.toMs - interval.fromMs);

function panelOf(title: string, height: number, series: readonly Series[], atLeast = 0): Panel {
  const most = Math.max(atLeast, ...series.flatMap(({ points }) => points.map(([, y]) => (Number.isNaN(y) ? 0 : y))));
  const ticks = niceTicks(most, height > LOW_HEIGHT ? 4 : 2);
  return { title, height, max: ticks.at(-1) as number, ticks, series };
}

/** Whether a line says anything. */
const isFlatZero = ({ points }: Series): boolean => points.every(([, y]) => Number.isNaN(y) || y === 0);

function callsPanel(report: Report): Panel {
  const line = (label: string, colour: Colour, count: (interval: Interval) => number): Series => ({
    label,
    colour,
    points: pointsOf(report, perSecond(count)),
  });
  const ends = [line('errors', 'red', ({ errors }) => errors), line('timeouts', 'orange', ({ timeouts }) => timeouts)];
  return panelOf('Calls a second', HEIGHT, [
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
  return series.length === 0 ? [] : [panelOf(titleWith('Refused calls a second', series), LOW_HEIGHT, series)];
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
  const panels = [panelOf(titleWith('Calls a second that reach the back-ends', received), LOW_HEIGHT, received)];
  if (!busy.every(isFlatZero)) panels.push(panelOf(titleWith('Busy workers, %', busy), LOW_HEIGHT, busy, 100));
  if (!queued.every(isFlatZero)) panels.push(panelOf(titleWith('Waiting calls', queued), LOW_HEIGHT, queued));
  return panels;
}

function policyPanels(report: Report): Panel[] {
  // In the last interval there are those too that are watched only since some time in the run.
  return Object.keys((report.series.at(-1) as Interval).policies).flatMap((name) => {
    const states = report.series.map(({ policies }) => policies[name] ?? {});
    const moving = Object.keys(Object.assign({}, ...states)).filter((field) =>
      moves(states.map((state) => state[field])),
    );
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

const percent = (ratio: number): string => (Number.isNaN(ratio) ? 'none' : `${Math.round(ratio * 1_000) / 10} %`);

const timeText = (durationMs: number): string =>
  `${axisOf(durationMs).x.max.toLocaleString('en')} ${durationMs >= 5_000 ? 's' : 'ms'}`;

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

/** In a comparison, in the order of the runs. */
const RUN_COLOURS: readonly Colour[] = ['red', 'green', 'blue', 'purple', 'orange'];
/** More tiers or keys than this are more panels than anybody looks at: the busiest have one each, all others one together. */
const MAX_CLASSES = 4;

type Answered = Pick<Figures, 'offered' | 'goodput'>;

const sumOf = (figures: Iterable<Answered | undefined>): Answered => {
  const sum = { offered: 0, goodput: 0 };
  for (const one of figures) {
    sum.offered += one?.offered ?? 0;
    sum.goodput += one?.goodput ?? 0;
  }
  return sum;
};

const differ = (values: readonly unknown[]): boolean => new Set(values).size > 1;

/** A path loses its folders where there is no room for them, any name its beginning. */
function shortened(label: string, room: number): string {
  if (label.length <= room) return label;
  const file = label.slice(label.lastIndexOf('/') + 1);
  return file.length <= room ? file : `…${file.slice(1 - room)}`;
}

/** A picture of several runs, one line each; called by what they are called where no `title` is given. */
export function drawComparison(title: string | undefined, reports: ReadonlyMap<string, Report>): string {
  const room = roomBeside('offered', reports.size);
  const runs = [...reports].map(([label, report]) => [shortened(label, room), report] as const);
  const names = runs.map(([, { name }]) => name);
  const durations = runs.map(([, report]) => report.durationMs);
  const durationMs = Math.max(...durations);
  const lines = (value: (interval: Interval) => number): Series[] =>
    runs.map(([label, report], i) => ({
      label,
      colour: RUN_COLOURS[i] as Colour,
      points: pointsOf(report, value, durationMs),
    }));
  /** One line where all runs have the same, as those that differ in their policies alone. */
  const offeredLines = (of: (interval: Interval) => Answered | undefined): Series[] => {
    const each = lines(perSecond((interval) => of(interval)?.offered ?? 0));
    const common = { label: 'offered', colour: 'grey', as: 'dashes' } as const;
    const [first] = each as [Series];
    if (each.every(({ points }) => String(points) === String(first.points))) return [{ ...first, ...common }];
    return [
      { ...common, points: [] },
      ...each.map(({ colour, points }) => ({ colour, points, as: 'dashes' as const })),
    ];
  };
  const goodputPanel = (title: string, height: number, of: (interval: Interval) => Answered | undefined): Panel =>
    panelOf(title, height, [...offeredLines(of), ...lines(perSecond((interval) => of(interval)?.goodput ?? 0))]);
  const classPanels = (kind: 'tiers' | 'keys', word: string): Panel[] => {
    const all = [...new Set(runs.flatMap(([, { totals }]) => Object.keys(totals[kind])))].sort();
    if (all.length < 2) return [];
    const of = (name: string, figures: Interval | Report['totals']) => (figures[kind] as Record<string, Figures>)[name];
    const offered = (name: string): number => sumOf(runs.map(([, { totals }]) => of(name, totals))).offered;
    const shown =
      all.length <= MAX_CLASSES
        ? all
        : all
            .filter((name) => name !== OTHER_KEYS)
            .sort((a, b) => offered(b) - offered(a))
            .slice(0, MAX_CLASSES);
    const others = all.filter((name) => !shown.includes(name));
    const panels = shown.map((name) =>
      goodputPanel(`Goodput of ${word} ${name}, calls a second`, LOW_HEIGHT, (interval) => of(name, interval)),
    );
    if (others.length === 0) return panels;
    const title = `Goodput of all other ${kind}, calls a second`;
    return [...panels, goodputPanel(title, LOW_HEIGHT, (interval) => sumOf(others.map((name) => of(name, interval))))];
  };
  const reached = lines(({ backends }) => Object.values(backends).reduce((sum, one) => sum + one.callsPerOffered, 0));
  const queued = lines(({ backends }) => Object.values(backends).reduce((sum, one) => sum + one.queueLength, 0));
  const someOver = (series: readonly Series[], bound: number): boolean =>
    series.some(({ points }) => points.some(([, y]) => y > bound));
  const goodput = runs.map(([label, report]) => `${label} ${percent(report.totals.goodputRatio)}`).join(', ');
  const seeds = runs.map(([, { seed }]) => seed);
  const times = differ(durations) ? ` ${durations.map(timeText).join(' / ')}` : '';
  const seedText = differ(seeds) ? `seeds ${seeds.join(' / ')}` : `seed ${seeds[0]}`;
  return lineChart({
    title: title ?? (differ(names) ? runs.map(([label]) => label).join(', ') : (names[0] as string)),
    subtitle: `Answered well: ${goodput}. Virtual time${times}, ${seedText}.`,
    summary: `Share of the calls that were answered well: ${goodput}.`,
    x: axisOf(durationMs).x,
    panels: [
      goodputPanel('Goodput, calls a second', HEIGHT, (interval) => interval),
      ...classPanels('tiers', 'tier'),
      ...classPanels('keys', 'key'),
      panelOf(
        'Latency of the answers, 99 %, ms',
        LOW_HEIGHT,
        lines(({ p99Ms }) => p99Ms),
      ),
      ...(someOver(reached, 1) ? [panelOf('Calls at back-ends for each call of a user', LOW_HEIGHT, reached)] : []),
      ...(someOver(queued, 1) ? [panelOf('Calls that wait at the back-ends', LOW_HEIGHT, queued)] : []),
    ],
  });
}
