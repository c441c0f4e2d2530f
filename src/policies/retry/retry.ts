/**
 * Tries a failed call again: only what may help (not after the caller's abort, not past the deadline, not what a gate
 * of ours refuses for long), and only while a budget allows it, since retries multiply an outage: three tries at each
 * of three layers are 27 calls for one.
 */
import type { Abortable } from '../../core/call/abort.js';
import { abortableOf, type Context, derive, wasSent } from '../../core/call/context.js';
import { callNext, whenSettled } from '../../core/call/promises.js';
import { isRejected, type Reason } from '../../core/errors.js';
import { notify, type Observer } from '../../core/events.js';
import type { Random } from '../../core/numbers/random.js';
import { type Complete, readCommon } from '../../core/options/common.js';
import { checkNumber, OptionReader } from '../../core/options/validate.js';
import { OutcomeHook } from '../../core/pipeline/outcome-hook.js';
import type { Classify, CommonOptions, Next, Policy, Verdict } from '../../core/policy.js';
import type { Clock } from '../../core/time/clock.js';
import { judge } from '../../core/verdict.js';
import { type RetryBudget, readBudget } from '../retry-budget/budget.js';
import { ratioBudget } from '../retry-budget/ratio-budget.js';
import { type Backoff, exponentialBackoff } from './backoff.js';
import { withEarlier } from './earlier-errors.js';
import { retryAfterOf } from './retry-after.js';

/** Options of {@link retry}. */
export interface RetryOptions extends CommonOptions {
  /** Tries after the first; a whole number ≥ 0. @default 1 */
  maxRetries?: number | undefined;
  /**
   * The budget that has to allow each retry; several must all have room. `[]` = no limit, and an outage is multiplied.
   * @default ratioBudget()
   */
  budget?: RetryBudget | readonly RetryBudget[] | undefined;
  /** The name of `budget` in 0.1.0; not together with it. @default none */
  window?: RetryBudget | readonly RetryBudget[] | undefined;
  /** The wait before a retry. @default exponentialBackoff() */
  backoff?: Backoff | undefined;
  /**
   * Longest wait before a retry, ms; ≥ 0. A longer `backoff` is cut to it. Where the downstream asks for a longer wait,
   * the call is given up at once.
   * @default 30_000
   */
  maxDelayMs?: number | undefined;
  /**
   * Whether what a try threw may be tried again; `ctx` is that of the try, with its `attempt`. Not asked after the
   * caller's abort, nor where `classify` says `success`, or `ignored` for anything but a refusal.
   * @default defaultRetryOn
   */
  retryOn?: ((error: unknown, ctx: Context) => boolean) | undefined;
  /**
   * The wait that an error, or an answer that `classify` takes for a failure, asks for, ms; undefined = none,
   * `Infinity` = never try again.
   * @default retryAfterOf
   */
  retryAfter?: ((result: unknown) => number | undefined) | undefined;
}

/** What {@link Retry.update} can change. */
export type RetryUpdate = Pick<RetryOptions, 'maxRetries' | 'maxDelayMs'>;

/** Plain data on a retry policy. */
export interface RetrySnapshot {
  /** Retries sent so far. */
  retries: number;
  /** Retries so far that the budget did not allow. */
  exhausted: number;
}

/** A {@link retry}. */
export interface Retry extends Policy {
  /** Changes settings at once, also for calls under way; all or nothing. */
  update(options: RetryUpdate): void;
  snapshot(): RetrySnapshot;
}

/** Refusals by gates that soon have room again; the others stay, or another try would do harm. */
const PASSING: readonly Reason[] = ['rate_limited', 'concurrency_limited'];

/** Anything but a refusal; of refusals, those by a rate or concurrency limit. For a `retryOn` that only adds to it. */
export const defaultRetryOn = (error: unknown): boolean => !isRejected(error) || PASSING.includes(error.reason);

/** Rejects at once with the abort's reason when the caller gives up. */
function sleep(clock: Clock, ms: number, abortable: Abortable | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = (): void => {
      clock.clearTimer(timer);
      reject((abortable as Abortable).reason);
    };
    const timer = clock.setTimer(() => {
      abortable?.remove(stop);
      resolve();
    }, ms);
    if (abortable?.aborted) stop();
    else abortable?.add(stop);
  });
}

type Limits = Complete<RetryUpdate>;

const readLimits = (read: OptionReader): Limits => ({
  maxRetries: read.number('maxRetries', 1, { min: 0, integer: true }),
  maxDelayMs: read.number('maxDelayMs', 30_000, { min: 0 }),
});

/**
 * A wait that the downstream asks for is spread over this share of it: callers that were told the same come back apart.
 */
const SPREAD = 0.25;

/** How a try ended, and what that says about the downstream. */
interface AttemptResult {
  /** The context of the try. */
  ctx: Context;
  ok: boolean;
  /** The value or the error. */
  result: unknown;
  verdict: Verdict;
}

class BudgetedRetry extends OutcomeHook implements Retry {
  readonly name: string;
  readonly clock: Clock;
  readonly #budget: RetryBudget;
  /** None by default, where nothing depends on a success. */
  readonly succeed: OutcomeHook['succeed'];
  readonly #random: Random;
  readonly #observer: Observer | undefined;
  readonly #classify: Classify | undefined;
  readonly #backoff: Backoff;
  readonly #retryOn: (error: unknown, ctx: Context) => boolean;
  readonly #retryAfter: (result: unknown) => number | undefined;
  #limits: Limits;
  #retries = 0;
  #exhausted = 0;

  constructor(options: RetryOptions | undefined) {
    super();
    const read = new OptionReader('retry', options);
    const common = readCommon(read, 'retry');
    this.name = common.name;
    this.clock = common.clock;
    this.#random = common.random;
    this.#observer = common.observer;
    this.#classify = common.classify;
    this.#limits = readLimits(read);
    this.#budget = readBudget(read, ratioBudget({ clock: this.clock }), this.clock, 'window');
    this.#backoff = read.fn('backoff') ?? exponentialBackoff();
    this.#retryOn = read.fn('retryOn') ?? defaultRetryOn;
    this.#retryAfter = read.fn('retryAfter') ?? retryAfterOf;
    read.done();
    if (this.#classify !== undefined || this.#budget.onFirstDone !== undefined) {
      this.succeed = (value, ctx, next) => this.#firstDone(ctx, next, true, value);
    }
  }

  admit(ctx: Context): undefined {
    this.#budget.onRequest(ctx.startedAt);
  }

  fail(error: unknown, ctx: Context, next: Next<Context, unknown>): unknown {
    if (!wasSent(ctx)) this.#budget.onUnsent?.(ctx.startedAt);
    return this.#firstDone(ctx, next, false, error);
  }

  #firstDone(ctx: Context, next: Next<Context, unknown>, ok: boolean, result: unknown): unknown {
    const verdict = judge(this.#classify, ok, result, ctx);
    if (verdict !== 'ignored') this.#budget.onFirstDone?.(verdict === 'success');
    if (ok && verdict === 'success') return result;
    return this.#tryAgain(ctx, next, { ctx, ok, result, verdict });
  }

  async #tryAgain(ctx: Context, next: Next<Context, unknown>, first: AttemptResult): Promise<unknown> {
    let last = first;
    const errors: unknown[] = [];
    let delayMs = 0;
    try {
      for (let retry = 1; this.#shouldRetry(last, retry); retry++) {
        const backoffMs = this.#backoff(retry, delayMs, this.#random);
        delayMs = checkNumber(this.name, 'the wait that backoff gives', backoffMs, { min: 0, infinite: true });
        const at = this.clock.now();
        const waitMs = this.#waitMs(delayMs, last.result, ctx.deadline - at);
        const attempt = ctx.attempt + retry;
        // False for a broken clock as well: it must not start anything.
        if (!(at + waitMs < ctx.deadline) || !this.#allowed(attempt, waitMs, at)) break;
        const ended = await this.#retry(ctx, next, attempt, waitMs, at);
        if (ended === undefined) break;
        errors.push(last.result);
        last = ended;
      }
    } catch (error) {
      throw withEarlier(error, [...errors, last.result]);
    }
    if (last.ok) return last.result;
    throw withEarlier(last.result, errors);
  }

  /** Whether another try may help. */
  #shouldRetry({ ctx, ok, result, verdict }: AttemptResult, retry: number): boolean {
    if (verdict === 'success' || retry > this.#limits.maxRetries || abortableOf(ctx)?.aborted) return false;
    if (verdict === 'ignored' && (ok || !isRejected(result))) return false;
    return ok || this.#retryOn(result, ctx);
  }

  /**
   * Never less than what `result` asks for: Infinity where that is more than `maxDelayMs`. The spread is added to it,
   * since a random part of it would be too early, and leaves half of `leftMs`, the time to the deadline, to the try.
   */
  #waitMs(backoffMs: number, result: unknown, leftMs: number): number {
    const { maxDelayMs } = this.#limits;
    const ownMs = Math.min(maxDelayMs, backoffMs);
    const askedMs = this.#retryAfter(result);
    // NaN, as of a header that is not there, asks for nothing.
    if (askedMs === undefined || !(askedMs > 0)) return ownMs;
    if (askedMs > maxDelayMs || askedMs >= leftMs) return Infinity;
    return Math.max(ownMs, askedMs + this.#random() * Math.min(askedMs * SPREAD, (leftMs - askedMs) / 2));
  }

  /** Whether the budget allows it; it is taken from the budget then. */
  #allowed(attempt: number, delayMs: number, at: number): boolean {
    const allowed = this.#budget.tryRetry(at);
    if (!allowed) this.#exhausted++;
    if (this.#observer !== undefined) {
      const policy = this.name;
      notify(
        this.#observer,
        allowed ? { type: 'retry', policy, at, attempt, delayMs } : { type: 'retry_exhausted', policy, at, attempt },
      );
    }
    return allowed;
  }

  /** Waits and tries, and tells the budget how that ended; undefined = there was no time left. */
  async #retry(
    ctx: Context,
    next: Next<Context, unknown>,
    attempt: number,
    waitMs: number,
    allowedAt: number,
  ): Promise<AttemptResult | undefined> {
    let good: boolean | undefined;
    let again: Context | undefined;
    try {
      const abortable = abortableOf(ctx);
      // Also where there is nothing to wait for: the budget or the observer may have aborted the call by now.
      if (waitMs > 0 || abortable?.aborted) await sleep(this.clock, waitMs, abortable);
      const startedAt = this.clock.now();
      if (!(startedAt < ctx.deadline)) return undefined;
      const tried = derive<Context>(ctx, { attempt, startedAt });
      again = tried;
      this.#retries++;
      const ended = await whenSettled(
        callNext(tried, next),
        (result) => this.#ended(tried, true, result),
        (error: unknown) => this.#ended(tried, false, error),
      );
      if (ended.verdict !== 'ignored') good = ended.verdict === 'success';
      return ended;
    } finally {
      this.#budget.onRetryDone(good, allowedAt, wasSent(again));
    }
  }

  #ended(ctx: Context, ok: boolean, result: unknown): AttemptResult {
    return { ctx, ok, result, verdict: judge(this.#classify, ok, result, ctx) };
  }

  update(options: RetryUpdate): void {
    const read = new OptionReader(`${this.name}.update`, options, this.#limits);
    const limits = readLimits(read);
    read.done();
    this.#limits = limits;
  }

  snapshot(): RetrySnapshot {
    return { retries: this.#retries, exhausted: this.#exhausted };
  }
}

/**
 * Tries a call again that has failed, or timed out, up to `maxRetries` times, with a wait before each. A time-out does
 * not say whether the downstream did the work: put it around what may be done twice. Each try goes through all inner
 * policies; `ctx.attempt` tells which it is. The error of the last one is thrown as it is; `earlierErrors` has those
 * before.
 *
 * No try begins after `ctx.deadline`, and the caller's abort ends a wait at once. The wait is that of `backoff`, at
 * most `maxDelayMs`, or what the downstream asks for by `retryAfterMs` or `Retry-After`, and up to a quarter more,
 * where that is longer. If it asks for more than `maxDelayMs`, or for a time past the deadline, the call is given up at
 * once.
 *
 * @throws TypeError or RangeError for a bad option.
 */
export function retry(options?: RetryOptions): Retry {
  return new BudgetedRetry(options);
}
