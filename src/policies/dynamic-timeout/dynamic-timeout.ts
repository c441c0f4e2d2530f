/**
 * A time limit that follows the downstream: generous while it is fast on average, strict once it is slow.
 *
 *     EMA ← x·r + EMA·(1 − r),  r = 2 / (samples + 1)
 *     T = maxMs                                              while EMA ≤ averageMs
 *         limitMs + (limitMs − EMA) / (limitMs − averageMs) · (maxMs − limitMs)      between
 *         limitMs                                            from EMA = limitMs on
 *
 * Source: QQ Music's high-availability article and its open implementation, jiamao/ema-timeout.
 */

import type { Context } from '../../core/call/context.js';
import { TimeoutError } from '../../core/errors.js';
import { notify, type Observer } from '../../core/events.js';
import { Ema } from '../../core/numbers/ema.js';
import { type Changes, type Complete, readCommon } from '../../core/options/common.js';
import { checkNumber, OptionReader } from '../../core/options/validate.js';
import { TimeLimit } from '../../core/pipeline/time-limit.js';
import type { Classify, CommonOptions, Policy } from '../../core/policy.js';
import type { Clock } from '../../core/time/clock.js';
import { judge } from '../../core/verdict.js';

/** Options of {@link dynamicTimeout}. */
export interface DynamicTimeoutOptions extends CommonOptions {
  /** The average response time to hold, and the shortest time limit, ms; > averageMs, ≤ 2^31 − 1. */
  limitMs: number;
  /** The longest time limit, given while the downstream is fast, ms; ≥ limitMs, ≤ 2^31 − 1. */
  maxMs: number;
  /** Up to this average the time limit stays at `maxMs`, ms; ≥ 0. @default 0 */
  averageMs?: number | undefined;
  /** How many calls the average looks back on, ≥ 1. @default 80 */
  samples?: number | undefined;
  /** The average to start from, ms, or the first response time. From 0, the first calls get `maxMs`. @default 0 */
  seedMs?: number | 'first' | undefined;
}

/** What {@link DynamicTimeout.update} can change. */
export type DynamicTimeoutUpdate = Changes<Pick<DynamicTimeoutOptions, 'limitMs' | 'maxMs' | 'averageMs'>>;

/** Plain data on a dynamic timeout. */
export interface DynamicTimeoutSnapshot {
  /** The average response time, ms. */
  emaMs: number;
  /** The time limit that a call would get now, ms. */
  timeoutMs: number;
}

/** A {@link dynamicTimeout}. */
export interface DynamicTimeout extends Policy {
  /** The time limit that a call would get now, ms. */
  timeoutMs(): number;
  /**
   * Counts a response time that was measured elsewhere, ms.
   * @throws TypeError or RangeError unless it is a finite number ≥ 0; the average stays as it was.
   */
  record(elapsedMs: number): void;
  /** Changes settings at once and keeps the average; all or nothing. */
  update(options: DynamicTimeoutUpdate): void;
  snapshot(): DynamicTimeoutSnapshot;
}

/** What hosts can wait for at most. */
const LONGEST_MS = 2 ** 31 - 1;

type Limits = Complete<DynamicTimeoutUpdate>;

function readLimits(read: OptionReader): Limits {
  const limitMs = read.number('limitMs', undefined, { above: 0, max: LONGEST_MS });
  return {
    limitMs,
    maxMs: read.number('maxMs', undefined, { min: limitMs, max: LONGEST_MS }),
    averageMs: read.number('averageMs', 0, { min: 0, below: limitMs }),
  };
}

class EmaTimeout extends TimeLimit implements DynamicTimeout {
  readonly name: string;
  readonly clock: Clock;
  readonly #observer: Observer | undefined;
  readonly #classify: Classify | undefined;
  readonly #ema: Ema;
  #limits: Limits;

  constructor(options: DynamicTimeoutOptions) {
    super();
    const read = new OptionReader('dynamicTimeout', options);
    this.#limits = readLimits(read);
    const samples = read.number('samples', 80, { min: 1 });
    const seed = read.numberOr('seedMs', 0, { min: 0 }, 'first');
    this.#ema = new Ema(samples, seed === 'first' ? undefined : seed);
    const common = readCommon(read, 'dynamicTimeout');
    this.name = common.name;
    this.clock = common.clock;
    this.#observer = common.observer;
    this.#classify = common.classify;
    read.done();
  }

  timeoutMs(): number {
    const { limitMs, maxMs, averageMs } = this.#limits;
    const ema = this.#ema.value;
    if (ema <= averageMs) return maxMs;
    if (ema >= limitMs) return limitMs;
    return limitMs + ((limitMs - ema) / (limitMs - averageMs)) * (maxMs - limitMs);
  }

  /** @throws what `classify` throws */
  answered(ok: boolean, result: unknown, elapsedMs: number, ctx: Context): void {
    const verdict = judge(this.#classify, ok, result, ctx);
    if (verdict === 'ignored') return;
    const { maxMs } = this.#limits;
    // No more than a time-out counts: a process that stood still for a minute sees its answers late by a minute.
    const countedMs = verdict === 'dropped' ? maxMs : Math.min(maxMs, elapsedMs);
    // A broken clock must not poison the average.
    if (countedMs >= 0) this.#ema.record(countedMs);
  }

  timedOut(at: number, timeoutMs: number): TimeoutError {
    this.#ema.record(this.#limits.maxMs);
    if (this.#observer !== undefined) notify(this.#observer, { type: 'timed_out', policy: this.name, at, timeoutMs });
    return new TimeoutError(this.name, timeoutMs);
  }

  record(elapsedMs: number): void {
    this.#ema.record(checkNumber(`${this.name}.record`, 'elapsedMs', elapsedMs, { min: 0 }));
  }

  update(options: DynamicTimeoutUpdate): void {
    const read = new OptionReader(`${this.name}.update`, options, this.#limits);
    const limits = readLimits(read);
    read.done();
    this.#limits = limits;
  }

  snapshot(): DynamicTimeoutSnapshot {
    return { emaMs: this.#ema.value, timeoutMs: this.timeoutMs() };
  }
}

/**
 * Gives up on a call after a time that shrinks from `maxMs` to `limitMs` as the downstream's average response time
 * grows from `averageMs` to `limitMs`. On time-out the context's signal aborts, the caller gets a {@link TimeoutError},
 * and a late answer is dropped. A timed-out call counts as `maxMs`.
 *
 * While calls follow one another and `2 / (samples + 1) ≤ (limitMs − averageMs) / (maxMs − averageMs)`, the average of
 * the answered calls never exceeds `limitMs`.
 *
 * @throws TypeError or RangeError for a bad option.
 */
export function dynamicTimeout(options: DynamicTimeoutOptions): DynamicTimeout {
  return new EmaTimeout(options);
}
