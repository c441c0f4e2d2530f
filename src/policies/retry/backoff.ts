/**
 * How long to wait before a retry. Jitter spreads the retries of calls that failed together: without it they come back
 * together. Source: "Exponential Backoff and Jitter", AWS Architecture Blog, 2015.
 */
import type { Random } from '../../core/numbers/random.js';
import { OptionReader } from '../../core/options/validate.js';

/**
 * Gives the wait before a retry, ms, ≥ 0.
 *
 * @param retry 1 = the first retry of the call
 * @param previousMs what it gave for the retry before; 0 for the first
 * @param random numbers in [0, 1)
 */
export type Backoff = (retry: number, previousMs: number, random: Random) => number;

/** Options of {@link exponentialBackoff}. */
export interface ExponentialBackoffOptions {
  /** Longest wait before the first retry, ms; ≥ 0. @default 100 */
  baseMs?: number | undefined;
  /** Longest wait before any, ms; ≥ baseMs. @default 10_000 */
  maxMs?: number | undefined;
  /** By what the longest wait grows from one retry to the next; ≥ 1. @default 2 */
  factor?: number | undefined;
  /** `full`: a random wait up to the longest; `none`: the longest itself. @default 'full' */
  jitter?: 'full' | 'none' | undefined;
}

/** Options of {@link decorrelatedBackoff}. */
export interface DecorrelatedBackoffOptions {
  /** Shortest wait, ms; ≥ 0. @default 100 */
  baseMs?: number | undefined;
  /** Longest wait, ms; ≥ baseMs. @default 10_000 */
  maxMs?: number | undefined;
}

function readRange(read: OptionReader): { baseMs: number; maxMs: number } {
  const baseMs = read.number('baseMs', 100, { min: 0 });
  return { baseMs, maxMs: read.number('maxMs', Math.max(10_000, baseMs), { min: baseMs }) };
}

/**
 * `random · min(maxMs, baseMs · factor^(retry − 1))`: "full jitter".
 *
 * @throws TypeError or RangeError for a bad option.
 */
export function exponentialBackoff(options?: ExponentialBackoffOptions): Backoff {
  const read = new OptionReader('exponentialBackoff', options);
  const { baseMs, maxMs } = readRange(read);
  const factor = read.number('factor', 2, { min: 1 });
  const jitter = read.oneOf('jitter', 'full', ['full', 'none']);
  read.done();
  return (retry, _previousMs, random) => {
    const longestMs = baseMs === 0 ? 0 : Math.min(maxMs, baseMs * factor ** (retry - 1));
    return jitter === 'full' ? random() * longestMs : longestMs;
  };
}

/**
 * `min(maxMs, random between baseMs and 3 · the wait before)`: "decorrelated jitter". Never waits less than `baseMs`.
 *
 * @throws TypeError or RangeError for a bad option.
 */
export function decorrelatedBackoff(options?: DecorrelatedBackoffOptions): Backoff {
  const read = new OptionReader('decorrelatedBackoff', options);
  const { baseMs, maxMs } = readRange(read);
  read.done();
  return (_retry, previousMs, random) => {
    const upToMs = 3 * Math.max(baseMs, previousMs);
    return Math.min(maxMs, baseMs + random() * (upToMs - baseMs));
  };
}
