/**
 * The regression guard's arithmetic. What a case costs is the least of a run's rounds, in units of the least that its floor
 * cost: what else the machine does only makes things slower. The baseline has how much that varied over some runs of the same
 * code, and a later run may be slower by what such noise explains.
 */
import { find, type Machine, type Run } from './results.js';
import { median, relativeDeviation } from './stats.js';

export interface BaselineCase {
  /** To the floor: the median of the runs. */
  ratio: number;
  /** How much it varied from run to run: the standard deviation, as a share. */
  spreadRatio: number;
}

/** `baseline.json`. */
export interface Baseline {
  measuredAt: string;
  machine: Machine;
  runs: number;
  /** A run's; a later run has to have as many to compare. */
  rounds: number;
  cases: Record<string, BaselineCase>;
}

export interface Change {
  id: string;
  /** The baseline's; undefined = the case is new. */
  was: number | undefined;
  ratio: number;
  /** By what share it may exceed `was`, or fall short of it. */
  tolerance: number;
  verdict: 'same' | 'slower' | 'faster' | 'new';
}

/**
 * A tolerance is so many standard deviations. Four: with about fifty cases one in a few hundred checks would fail by
 * chance if five runs told the deviation exactly. They do not, and therefore what seems slower is measured again.
 */
const DEVIATIONS = 4;

/** What each of our cases costs in units of its floor. */
export function floorRatios(run: Run): Record<string, number> {
  const found: Record<string, number> = {};
  for (const one of run.cases) {
    const floor = find(run, one.floorId);
    if (one.kind === 'ours' && floor !== undefined) {
      found[one.id] = Math.min(...one.nsByRound) / Math.min(...floor.nsByRound);
    }
  }
  return found;
}

/** @param runs at least two, of the same cases and number of rounds */
export function newBaseline(runs: readonly Run[]): Baseline {
  const [first] = runs;
  if (first === undefined || runs.length < 2) throw new RangeError('a baseline needs at least two runs');
  const byRun = runs.map(floorRatios);
  const cases: Record<string, BaselineCase> = {};
  for (const id of Object.keys(floorRatios(first))) {
    const figures = byRun.map((found) => found[id] as number);
    cases[id] = { ratio: rounded(median(figures)), spreadRatio: rounded(relativeDeviation(figures)) };
  }
  return { measuredAt: first.startedAt, machine: first.machine, runs: runs.length, rounds: first.rounds, cases };
}

const rounded = (value: number): number => Number(value.toPrecision(4));

/**
 * By what share each case may be slower. A few runs may agree by chance: no case counts as steadier than half of all
 * cases are. The root is for the baseline, itself a mean of noisy runs.
 */
export function tolerances({ cases, runs }: Baseline): Record<string, number> {
  const typical = median(Object.values(cases).map((one) => one.spreadRatio));
  const found: Record<string, number> = {};
  for (const [id, { spreadRatio }] of Object.entries(cases)) {
    found[id] = Math.expm1(DEVIATIONS * Math.max(spreadRatio, typical) * Math.sqrt(1 + 1 / runs));
  }
  return found;
}

/** What half of the cases keep below. */
export const typicalTolerance = (baseline: Baseline): number => median(Object.values(tolerances(baseline)));

export function compare(baseline: Baseline, found: Record<string, number>): Change[] {
  const allowed = tolerances(baseline);
  return Object.entries(found).map(([id, ratio]) => {
    const was = baseline.cases[id]?.ratio;
    const tolerance = allowed[id] ?? 0;
    if (was === undefined) return { id, was, ratio, tolerance, verdict: 'new' };
    const verdict = ratio > was * (1 + tolerance) ? 'slower' : ratio < was / (1 + tolerance) ? 'faster' : 'same';
    return { id, was, ratio, tolerance, verdict };
  });
}
