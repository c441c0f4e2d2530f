/**
 * A time limit that follows the callee: generous while it is fast on average, strict once it is slow.
 *
 *     EMA ← x·r + EMA·(1 − r),  r = 2 / (samples + 1)
 *     T = maxMs                                              while EMA ≤ averageMs
 *         limitMs + (limitMs − EMA) / (limitMs − averageMs) · (maxMs − limitMs)      between
 *         limitMs                                            from EMA = limitMs on
 *
 * Source: QQ Music's high-availability article and its open implementation, jiamao/ema-timeout.
 */
import { type Abortable, AbortScope } from '../core/abort.js';
import { type Clock, type TimerHandle, timerAt } from '../core/clock.js';
import { readCommon } from '../core/common.js';
import { abortableOf, type Context, deriveAbortable } from '../core/context.js';
import { Ema } from '../core/ema.js';
import { TimeoutError } from '../core/errors.js';
import { notify, type Observer } from '../core/events.js';
import { judge } from '../core/gate.js';
import type { Classify, CommonOptions, Next, Policy } from '../core/policy.js';
import { callNext, rejectSoon } from '../core/settle.js';
import { checkNumber, OptionReader } from '../core/validate.js';

/** Options of {@link dynamicTimeout}. */
export interface DynamicTimeoutOptions extends CommonOptions {
  /** The average response time to hold, and the shortest time limit, ms; > averageMs, ≤ 2^31 − 1. */
  limitMs: number;
  /** The longest time limit, given while the callee is fast, ms; ≥ limitMs, ≤ 2^31 − 1. */
  maxMs: number;
  /** Up to this average the time limit stays at `maxMs`, ms; ≥ 0. @default 0 */
  averageMs?: number;
  /** How many calls the average looks back on, ≥ 1. @default 80 */
  samples?: number;
  /** The average to start from, ms, or the first response time. From 0, the first calls get `maxMs`. @default 0 */
  seedMs?: number | 'first';
}

/** What {@link DynamicTimeout.update} can change. */
export type DynamicTimeoutUpdate = Pick<DynamicTimeoutOptions, 'limitMs' | 'maxMs' | 'averageMs'>;

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
  update(options: Partial<DynamicTimeoutUpdate>): void;
  snapshot(): DynamicTimeoutSnapshot;
}

/** What hosts can wait for at most. */
const LONGEST_MS = 2 ** 31 - 1;

type Limits = Required<DynamicTimeoutUpdate>;

function readLimits(read: OptionReader): Limits {
  const limitMs = read.number('limitMs', undefined, { above: 0, max: LONGEST_MS });
  return {
    limitMs,
    maxMs: read.number('maxMs', undefined, { min: limitMs, max: LONGEST_MS }),
    averageMs: read.number('averageMs', 0, { min: 0, below: limitMs }),
  };
}

/** One call: the first of its answer, its time-out and the caller's abort counts, and is what aborts its context. */
class TimedCall<R> extends AbortScope {
  readonly #owner: EmaTimeout;
  readonly #ctx: Context;
  readonly #resolve: (value: R) => void;
  readonly #reject: (error: unknown) => void;
  #giveUp: (() => void) | undefined;
  #timer: TimerHandle;
  #pending = true;

  constructor(owner: EmaTimeout, ctx: Context, resolve: (value: R) => void, reject: (error: unknown) => void) {
    super();
    this.abandons = false;
    this.#owner = owner;
    this.#ctx = ctx;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  start(outer: Abortable | undefined): void {
    const { clock, startedAt } = this.#ctx;
    const timeoutMs = this.#owner.timeoutMs();
    this.#timer = timerAt(clock, () => this.#timeOut(timeoutMs), startedAt + timeoutMs);
    if (outer !== undefined) {
      this.#giveUp = () => this.#stop(outer.reason);
      outer.add(this.#giveUp);
    }
  }

  answer(ok: boolean, result: unknown): void {
    if (!this.#settle()) return;
    try {
      this.#owner.answered(ok, result, this.#ctx);
    } catch (error) {
      this.#reject(error);
      return;
    }
    if (ok) this.#resolve(result as R);
    else this.#reject(result);
  }

  #timeOut(timeoutMs: number): void {
    if (!this.#pending) return;
    this.#owner.timedOut(this.#ctx.clock.now(), timeoutMs);
    this.#stop(new TimeoutError(this.#owner.name, timeoutMs));
  }

  #stop(reason: unknown): void {
    if (!this.#settle()) return;
    this.#reject(reason);
    this.abort(reason);
  }

  #settle(): boolean {
    if (!this.#pending) return false;
    this.#pending = false;
    this.#ctx.clock.clearTimer(this.#timer);
    if (this.#giveUp !== undefined) abortableOf(this.#ctx)?.remove(this.#giveUp);
    return true;
  }
}

class EmaTimeout implements DynamicTimeout {
  readonly name: string;
  readonly clock: Clock;
  readonly #observer: Observer | undefined;
  readonly #classify: Classify | undefined;
  readonly #ema: Ema;
  #limits: Limits;

  constructor(options: DynamicTimeoutOptions) {
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

  run<C extends Context, R>(ctx: C, next: Next<C, R>): Promise<R> {
    const outer = abortableOf(ctx);
    if (outer?.aborted) return rejectSoon(outer.reason);
    return new Promise<R>((resolve, reject) => {
      const call = new TimedCall(this, ctx, resolve, reject);
      const inner = deriveAbortable(ctx, call);
      call.start(outer);
      callNext(inner, next).then(
        (value) => call.answer(true, value),
        (error: unknown) => call.answer(false, error),
      );
    });
  }

  /** A call came to an end by itself, within its time. @throws what `classify` throws */
  answered(ok: boolean, result: unknown, ctx: Context): void {
    const verdict = judge(this.#classify, ok, result, ctx);
    if (verdict === 'ignored') return;
    const { maxMs } = this.#limits;
    // No more than a time-out counts: a process that stood still for a minute finds its answers a minute late.
    const elapsedMs = verdict === 'dropped' ? maxMs : Math.min(maxMs, ctx.clock.now() - ctx.startedAt);
    // A broken clock must not poison the average.
    if (elapsedMs >= 0) this.#ema.record(elapsedMs);
  }

  timedOut(at: number, timeoutMs: number): void {
    this.#ema.record(this.#limits.maxMs);
    if (this.#observer !== undefined) notify(this.#observer, { type: 'timed_out', policy: this.name, at, timeoutMs });
  }

  record(elapsedMs: number): void {
    this.#ema.record(checkNumber(`${this.name}.record`, 'elapsedMs', elapsedMs, { min: 0 }));
  }

  update(options: Partial<DynamicTimeoutUpdate>): void {
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
 * Gives up on a call after a time that shrinks from `maxMs` to `limitMs` as the callee's average response time grows
 * from `averageMs` to `limitMs`. On time-out the context's signal aborts, the caller gets a {@link TimeoutError}, and a
 * late answer is dropped. A timed-out call counts as `maxMs`.
 *
 * While calls follow one another and `2 / (samples + 1) ≤ (limitMs − averageMs) / (maxMs − averageMs)`, the average of
 * the answered calls never exceeds `limitMs`.
 *
 * @throws TypeError or RangeError for a bad option.
 */
export function dynamicTimeout(options: DynamicTimeoutOptions): DynamicTimeout {
  return new EmaTimeout(options);
}
