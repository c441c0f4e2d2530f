import type { Expectations } from './expectations.js';
import type { Interval, Stretch } from './figures.js';

/** What a simulation found. */
export interface Report {
  readonly name: string;
  readonly seed: number;
  readonly durationMs: number;
  readonly intervalMs: number;
  /** Over the whole run. */
  readonly totals: Stretch;
  /** Step by step. */
  readonly series: readonly Interval[];
  /**
   * The figures of the intervals that begin at `fromMs` or later and before `toMs`.
   * @throws RangeError when there is no such interval.
   */
  between(fromMs: number, toMs: number): Stretch;
  /**
   * Checks figures against bounds, by name: `report.assert({ goodputRatio: { min: 0.95 } })`.
   * @throws Error that lists every figure out of its bounds: which, what was wanted, what it is; a TypeError when the
   *   list has a name that does not exist. TypeError or RangeError for bounds that make no sense.
   */
  assert(expectations: Expectations): void;
  /** A picture that follows the reader's light or dark mode. */
  toSvg(): string;
  /** The totals as a table of plain text. */
  toText(): string;
  /** Plain data, for `JSON.stringify`, the same bytes for the same seed; what is not known is null. */
  toJSON(): object;
}

/** Several runs beside each other. */
export interface Comparison {
  /** A picture with one line a run. */
  toSvg(): string;
  /** The totals as a table of plain text, one column a run. */
  toText(): string;
}
