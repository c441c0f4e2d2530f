import type { BackendFigures } from './figures.js';
import type { Report } from './report.js';

const number =
  (digits: number, unit = '') =>
  (value: number): string =>
    Number.isNaN(value) ? '–' : `${value.toLocaleString('en', { maximumFractionDigits: digits })}${unit}`;
const percent = (value: number): string => number(1, ' %')(100 * value);
const count = number(0);
const ms = number(1, ' ms');

/** Told where they differ. */
const SETTINGS: readonly (readonly [label: string, value: (report: Report) => string])[] = [
  ['virtual time', ({ durationMs }) => ms(durationMs)],
  ['seed', ({ seed }) => `${seed}`],
];

/** The totals of `reports`, one column each. */
export function textTable(reports: ReadonlyMap<string, Report>): string {
  const runs = [...reports.values()];
  const rows: string[][] = [['', ...reports.keys()]];
  const row = (label: string, value: (report: Report) => string): void => void rows.push([label, ...runs.map(value)]);
  for (const [label, value] of SETTINGS) if (new Set(runs.map(value)).size > 1) row(label, value);
  row('offered', ({ totals }) => count(totals.offered));
  row('answered well', ({ totals }) => `${count(totals.goodput)} (${percent(totals.goodputRatio)})`);
  row('errors', ({ totals }) => count(totals.errors));
  row('timeouts', ({ totals }) => count(totals.timeouts));
  row('refused', ({ totals }) => count(totals.refused));
  for (const reason of namesIn(runs.map(({ totals }) => totals.refusedBy)))
    row(`  ${reason}`, ({ totals }) => count(totals.refusedBy[reason] ?? 0));
  row('unfinished', ({ totals }) => count(totals.unfinished));
  row('tries a call', ({ totals }) => number(2)(totals.amplification));
  row('latency 50 %', ({ totals }) => ms(totals.p50Ms));
  row('latency 90 %', ({ totals }) => ms(totals.p90Ms));
  row('latency 99 %', ({ totals }) => ms(totals.p99Ms));
  for (const name of namesIn(runs.map(({ totals }) => totals.backends))) {
    row(name, () => '');
    const of = (field: keyof BackendFigures) => (report: Report) => report.totals.backends[name]?.[field] ?? Number.NaN;
    row('  received', (report) => count(of('received')(report)));
    for (const field of ['failed', 'refused', 'lost'] as const)
      if (runs.some((report) => of(field)(report) > 0)) row(`  ${field}`, (report) => count(of(field)(report)));
    row('  busy', (report) => percent(of('busyRatio')(report)));
    row('  waiting, at most', (report) => count(of('maxQueueLength')(report)));
    row('  worked in vain', (report) => count(of('wasted')(report)));
  }
  const widths = (rows[0] as string[]).map((_, i) => Math.max(...rows.map((cells) => (cells[i] as string).length)));
  return rows
    .map((cells) =>
      cells
        .map((cell, i) => (i === 0 ? cell.padEnd(widths[i] as number) : cell.padStart(widths[i] as number)))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

const namesIn = (records: readonly object[]): string[] => [...new Set(records.flatMap(Object.keys))];
