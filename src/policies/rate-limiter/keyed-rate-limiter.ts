import { randomWords } from '../../core/numbers/random.js';
import { OptionReader } from '../../core/options/validate.js';
import type { Gate } from '../../core/policy.js';
import { KeyTable } from './key-table.js';
import { LimitGate, type LimitOptions, type LimitUpdate, type RateLimiterSnapshot } from './rate-limit-gate.js';

/** Options of {@link keyedRateLimiter}. */
export interface KeyedRateLimiterOptions extends LimitOptions {
  /** How many keys are counted at once, 1 to 10,000,000; takes 38.5 bytes each from the start. @default 100_000 */
  maxKeys?: number | undefined;
  /**
   * Up to twice the `limit` in the worst window. For `log` or `buckets`: `keyed(() => rateLimiter(…))`.
   * @default 'counter'
   */
  algorithm?: 'counter' | undefined;
}

/** What {@link KeyedRateLimiter.update} can change. */
export type KeyedRateLimiterUpdate = LimitUpdate;

/** A {@link keyedRateLimiter}. */
export interface KeyedRateLimiter extends Gate {
  /** Changes settings of all keys at once and keeps what was counted; all or nothing. */
  update(options: KeyedRateLimiterUpdate): void;
  /** What `key` has used, without counting as use. No key: the calls that have none. */
  peek(key?: string): RateLimiterSnapshot;
  /** How many keys are counted now. */
  snapshot(): { keys: number };
}

class TableLimiter extends LimitGate implements KeyedRateLimiter {
  protected readonly meter: KeyTable;

  constructor(options: KeyedRateLimiterOptions) {
    const read = new OptionReader('keyedRateLimiter', options);
    super(read, 'keyedRateLimiter');
    const maxKeys = read.number('maxKeys', 100_000, { min: 1, max: 10_000_000, integer: true });
    read.oneOf('algorithm', 'counter', ['counter']);
    read.done();
    this.meter = new KeyTable(this.windowMs, maxKeys, randomWords(2, this.random));
  }

  peek(key?: string): RateLimiterSnapshot {
    return this.snapshotOf(key);
  }

  snapshot(): { keys: number } {
    return { keys: this.meter.size };
  }
}

/**
 * One limit a `ctx.key`; calls without a key share one more. The memory is bounded: beyond `maxKeys` a new key takes
 * the place of one that has not been used lately, never of one after which fewer than `maxKeys` / 2 others were used.
 *
 * @throws TypeError or RangeError for a bad option.
 */
export function keyedRateLimiter(options: KeyedRateLimiterOptions): KeyedRateLimiter {
  return new TableLimiter(options);
}
