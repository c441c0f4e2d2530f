import { checkNumber, hasMethods, invalid } from '../../../core/options/validate.js';
import type { Counted } from '../run/meter.js';
import { drawComparison } from './comparison-chart.js';
import { type Expectations, failuresOf } from './expectations.js';
import { type Interval, type Stretch, stretchOf } from './figures.js';
import type { Comparison, Report } from './report.js';
import { drawReport } from './report-chart.js';
import { textTable } from './text-table.js';

class SimulationReport implements Report {
  readonly name: string;
  readonly seed: number;
  readonly durationMs: number;
  readonly intervalMs: number;
  readonly totals: Stretch;
  readonly series: readonly Interval[];
  readonly #counted: readonly Counted[];
  readonly #backends: readonly string[];

  constructor(about: About, names: Names, counted: readonly Counted[]) {
    this.name = about.name;
    this.seed = about.seed;
    this.durationMs = about.durationMs;
    this.intervalMs = about.intervalMs;
    this.#counted = counted;
    this.#backends = names.backends;
    this.totals = stretchOf(counted, names.backends);
    this.series = counted.map((one) => ({
      ...stretchOf([one], names.backends),
      policies: Object.fromEntries(one.policies.map((state, i) => [names.policies[i] as string, state])),
    }));
  }

  between(fromMs: number, toMs: number): Stretch {
    checkNumber('report.between', 'fromMs', fromMs, { min: 0, below: this.durationMs });
    checkNumber('report.between', 'toMs', toMs, { above: fromMs });
    const within = this.#counted.filter((one) => one.fromMs >= fromMs && one.fromMs < toMs);
    if (within.length > 0) return stretchOf(within, this.#backends);
    throw new RangeError(
      `report.between: no interval begins from ${fromMs} to ${toMs} ms; they are ${this.intervalMs} ms long`,
    );
  }

  assert(expectations: Expectations): void {
    const failures = failuresOf(expectations, this.durationMs, (fromMs, toMs) => this.between(fromMs, toMs));
    if (failures.length > 0) throw new Error(`${this.name}, seed ${this.seed}:\n  ${failures.join('\n  ')}`);
  }

  toSvg(): string {
    return drawReport(this);
  }

  toText(): string {
    return textTable(new Map([[this.name, this]]));
  }

  toJSON(): object {
    const { name, seed, durationMs, intervalMs, totals, series } = this;
    return { name, seed, durationMs, intervalMs, totals, series };
  }
}

interface About {
  name: string;
  seed: number;
  durationMs: number;
  intervalMs: number;
}

interface Names {
  backends: readonly string[];
  policies: readonly string[];
}

export function makeReport(about: About, names: Names, counted: readonly Counted[]): Report {
  return new SimulationReport(about, names, counted);
}

/**
 * Puts runs beside each other: `compareReports({ unprotected, protected })`.
 *
 * @param reports by what they are to be called, up to five of them
 * @param title above the picture. @default the reports' name where they have the same, else what they are called
 */
export function compareReports(reports: Readonly<Record<string, Report>>, title?: string): Comparison {
  if (typeof reports !== 'object' || reports === null || Array.isArray(reports))
    invalid('compareReports', 'reports', 'an object', reports, true);
  const runs = new Map(Object.entries(reports));
  checkNumber('compareReports', 'number of reports', runs.size, { min: 1, max: 5 });
  for (const [name, report] of runs)
    if (!hasMethods(report, ['between', 'assert'])) invalid('compareReports', name, 'a report', report, true);
  return { toSvg: () => drawComparison(title, runs), toText: () => textTable(runs) };
}
