/**
 * At most `limit` permits in any `windowMs`, or nearly so, by one of three algorithms:
 *
 *     log       used(t) = Σ cost of the admissions in (t − W, t]
 *     buckets   the same, with admissions up to W / B apart taken for one of the time of the last of them
 *     counter   used(t) = previous · (1 − f) + current, f = the fraction of the aligned window that has passed
 *
 * A call is admitted when `used + cost ≤ limit`, and counts only then. With `tierRatios` the limit of a call is its
 * tier's share of it, whichever tier has used that: what the shares leave free is kept for the more critical tiers.
 */

import { OptionReader } from '../../core/options/validate.js';
import type { Gate } from '../../core/policy.js';
import { AdmissionLog } from './log.js';
import type { Meter } from './meter.js';
import { LimitGate, type LimitOptions, type LimitUpdate, type RateLimiterSnapshot } from './rate-limit-gate.js';
import { Counter } from './two-counters.js';

/** Options of {@link rateLimiter}. */
export interface RateLimiterOptions extends LimitOptions {
  /**
   * `log`: exact, 16 bytes an admission in the window. `buckets`: never more than `limit` in any window, 16 bytes a
   * bucket. `counter`: up to twice the `limit` in the worst window, 32 bytes. @default 'buckets'
   */
  algorithm?: 'log' | 'buckets' | 'counter' | undefined;
  /** How many buckets `windowMs` holds, 1 to 10,000: at least B / (B + 1) of the limit goes through. @default 50 */
  buckets?: number | undefined;
}

/** What {@link RateLimiter.update} can change. */
export type RateLimiterUpdate = LimitUpdate;

/** A {@link rateLimiter}. */
export interface RateLimiter extends Gate {
  /** Changes settings at once and keeps what was counted; all or nothing. */
  update(options: RateLimiterUpdate): void;
  snapshot(): RateLimiterSnapshot;
}

class SingleLimiter extends LimitGate implements RateLimiter {
  protected readonly meter: Meter;

  constructor(options: RateLimiterOptions) {
    const read = new OptionReader('rateLimiter', options);
    super(read, 'rateLimiter');
    const algorithm = read.oneOf('algorithm', 'buckets', ['log', 'buckets', 'counter']);
    const buckets = read.number('buckets', 50, { min: 1, max: 10_000, integer: true });
    read.done();
    const { windowMs } = this;
    const spanMs = algorithm === 'log' ? 0 : windowMs / buckets;
    this.meter = algorithm === 'counter' ? new Counter(windowMs) : new AdmissionLog(windowMs, spanMs);
  }

  snapshot(): RateLimiterSnapshot {
    return this.snapshotOf(undefined);
  }
}

/**
 * Admits calls up to a rate and refuses the others, with the exact time after which to come back.
 *
 * @throws TypeError or RangeError for a bad option.
 */
export function rateLimiter(options: RateLimiterOptions): RateLimiter {
  return new SingleLimiter(options);
}
