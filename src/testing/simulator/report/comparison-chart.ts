/** Several reports as one picture. */

import { OTHER_KEYS } from '../run/meter.js';
import type { Figures, Interval } from './figures.js';
import { type Colour, lineChart, type Panel, roomBeside, type Series } from './line-chart.js';
import { axisOf, HEIGHT, LOW_HEIGHT, panelOf, percent, perSecond, pointsOf, timeText } from './panels.js';
import type { Report } from './report.js';

/** In the order of the runs. */
const RUN_COLOURS: readonly Colour[] = ['red', 'green', 'blue', 'purple', 'orange'];
/**
 * More tiers or keys than this are more panels than a reader looks at: the busiest have one each, all others one
 * together.
 */
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
      goodputPanel(`Goodput of ${word} ${name}, calls per second`, LOW_HEIGHT, (interval) => of(name, interval)),
    );
    if (others.length === 0) return panels;
    const title = `Goodput of all other ${kind}, calls per second`;
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
      goodputPanel('Goodput, calls per second', HEIGHT, (interval) => interval),
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
