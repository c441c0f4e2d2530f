/**
 * A second attempt when the first is late: whichever answers first wins, and the other is aborted. Late is what has not
 * ended after `afterMs`, or after the time within which a share of the latest calls was answered (`percentile`).
 * Source: Dean and Barroso, The Tail at Scale, CACM 2013.
 */

import { abortableOf, type Context, wasSent } from '../../core/call/context.js';
import { rejectSoon } from '../../core/call/promises.js';
import { notify, type Observer } from '../../core/events.js';
import { readCommon } from '../../core/options/common.js';
import { invalid, OptionReader, optionalNumber } from '../../core/options/validate.js';
import type { Classify, CommonOptions, Next, Policy, Verdict } from '../../core/policy.js';
import type { Clock } from '../../core/time/clock.js';
import { judge } from '../../core/verdict.js';
import { type RetryBudget, readBudget } from '../retry-budget/budget.js';
import { ratioBudget } from '../retry-budget/ratio-budget.js';
import { HedgedCall, type Hedging } from './hedged-call.js';
import { ResponseTimes } from './response-times.js';

/** Options of {@link hedge}: either `afterMs` or `percentile` has to be given. */
export interface HedgeOptions extends CommonOptions {
  /**
   * How long the first attempt is waited for before the second starts, ms, ≥ 0; Infinity = there is no second.
   * @default none
   */
  afterMs?: number | undefined;
  /**
   * The share of calls that is waited for, > 0, ≤ 0.999: with 0.95, the slowest 5 % of calls get a second attempt.
   * @default none
   */
  percentile?: number | undefined;
  /**
   * The budget that has to allow each second attempt; several must all have room.
   * @default ratioBudget({ ratio: 0.1, minRetriesPerSecond: 1 })
   */
  budget?: RetryBudget | readonly RetryBudget[] | undefined;
}

/** What {@link Hedge.update} can change: one of them, in place of the one that was given. */
export type HedgeUpdate = Pick<HedgeOptions, 'afterMs' | 'percentile'>;

/** Plain data on a hedge. */
export interface HedgeSnapshot {
  /** How long a first attempt would be waited for now, ms; Infinity = not enough calls are known yet. */
  afterMs: number;
  calls: number;
  /** Second attempts that were started. */
  hedges: number;
  /** Those of them that answered first. */
  won: number;
  /** Calls that were late, but for which the budget did not allow a second attempt. */
  refused: number;
}

/** A {@link hedge}. */
export interface Hedge extends Policy {
  /** Changes when the second attempt starts. Nothing given, nothing changes. */
  update(options: HedgeUpdate): void;
  snapshot(): HedgeSnapshot;
}

/**
 * How many calls slower than `percentile` the latest ones hold: 200 for 0.95, of which the share is right to a third.
 */
const SLOW_CALLS = 10;

interface Settings {
  afterMs: number;
  /** 0 = `afterMs` was given. */
  percentile: number;
}

/** To be called when all options are read; undefined = neither was given. */
function readSettings(read: OptionReader): () => Settings | undefined {
  const afterMs = optionalNumber(read, 'afterMs', { min: 0, infinite: true });
  const percentile = optionalNumber(read, 'percentile', { above: 0, max: 0.999 });
  return () => {
    read.done();
    if (percentile === undefined) return afterMs === undefined ? undefined : { afterMs, percentile: 0 };
    if (afterMs !== undefined) invalid(read.owner, 'percentile', 'left out where afterMs is given', percentile);
    return { afterMs: Infinity, percentile };
  };
}

class HedgePolicy implements Hedge, Hedging {
  readonly name: string;
  readonly clock: Clock;
  readonly #observer: Observer | undefined;
  readonly #classify: Classify | undefined;
  readonly #budget: RetryBudget;
  readonly #counts = { calls: 0, hedges: 0, won: 0, refused: 0 };
  #settings: Settings;
  /** Measured only where `percentile` was given. */
  #times: ResponseTimes | undefined;

  constructor(options: HedgeOptions) {
    const read = new OptionReader('hedge', options);
    const done = readSettings(read);
    const common = readCommon(read, 'hedge');
    this.name = common.name;
    this.clock = common.clock;
    this.#observer = common.observer;
    this.#classify = common.classify;
    const { clock } = common;
    this.#budget = readBudget(read, ratioBudget({ ratio: 0.1, minRetriesPerSecond: 1, clock }), clock);
    this.#settings = done() ?? invalid('hedge', 'afterMs', 'given, or else percentile', undefined);
    this.#measure();
  }

  run<C extends Context, R>(ctx: C, next: Next<C, R>): Promise<R> {
    const outer = abortableOf(ctx);
    if (outer?.aborted) return rejectSoon(outer.reason);
    return new Promise<R>((resolve, reject) => {
      const call = new HedgedCall(this, ctx, next as unknown as Next<Context, unknown>, resolve as never, reject);
      call.start(outer);
    });
  }

  begin(now: number): number {
    this.#budget.onRequest(now);
    this.#counts.calls++;
    return this.#afterMs();
  }

  judge(ok: boolean, result: unknown, ctx: Context): Verdict {
    return judge(this.#classify, ok, result, ctx);
  }

  mayHedge(at: number, afterMs: number): boolean {
    if (!this.#budget.tryRetry(at)) {
      this.#counts.refused++;
      return false;
    }
    this.#counts.hedges++;
    if (this.#observer !== undefined) notify(this.#observer, { type: 'hedge', policy: this.name, at, afterMs });
    return true;
  }

  firstEnded(verdict: Verdict, ctx: Context): void {
    if (verdict === 'success') this.#record(ctx, 0);
    // A time-out: the true response time is not known, but it is at least this long.
    else if (verdict === 'dropped') this.firstGivenUp(ctx);
    if (verdict !== 'ignored') this.#budget.onFirstDone?.(verdict === 'success');
  }

  /**
   * Counts the time that it had, unless it was given up early. Without them the slow calls would be missing, and the
   * delay would shrink call by call.
   */
  firstGivenUp(ctx: Context): void {
    this.#record(ctx, this.#times?.quantile(this.#settings.percentile) ?? 0);
  }

  hedgeEnded(verdict: Verdict | undefined, isAnswer: boolean, ctx: Context): void {
    if (isAnswer) this.#counts.won++;
    const ok = verdict === undefined || verdict === 'ignored' ? undefined : verdict === 'success';
    this.#budget.onRetryDone(ok, ctx.startedAt, wasSent(ctx));
  }

  ended(ctx: Context): void {
    if (!wasSent(ctx)) this.#budget.onUnsent?.(ctx.startedAt);
  }

  update(options: HedgeUpdate): void {
    const read = new OptionReader(`${this.name}.update`, options);
    const settings = readSettings(read)();
    if (settings === undefined) return;
    this.#settings = settings;
    this.#measure();
  }

  snapshot(): HedgeSnapshot {
    return { afterMs: this.#afterMs(), ...this.#counts };
  }

  #measure(): void {
    const { percentile } = this.#settings;
    this.#times = percentile === 0 ? undefined : new ResponseTimes(Math.round(SLOW_CALLS / (1 - percentile)));
  }

  /** `percentile` waits until one slow call is known. */
  #afterMs(): number {
    const { afterMs, percentile } = this.#settings;
    const times = this.#times;
    if (times === undefined) return afterMs;
    // Rounded, as 1 / (1 - 0.9) is more than 10.
    return times.count < Math.ceil(1 / (1 - percentile) - 1e-9) ? Infinity : times.quantile(percentile);
  }

  #record({ clock, startedAt }: Context, atLeastMs: number): void {
    if (this.#times === undefined) return;
    const elapsedMs = clock.now() - startedAt;
    // A broken clock must not poison what is measured.
    if (elapsedMs >= atLeastMs && elapsedMs < Infinity) this.#times.add(elapsedMs);
  }
}

/**
 * Starts a second attempt of a call whose first is late, takes the first answer, and aborts the other by its
 * `ctx.signal`. A first attempt that fails before is not hedged; once both are under way, a failure waits for the
 * other. If both fail the caller gets what the first gave, or the second where the first was refused by an inner
 * policy.
 *
 * The second attempt has `ctx.attempt` one higher. The budget has to allow it, and it never starts at or after
 * `ctx.deadline`. What `classify` calls a failure is no answer, also where it is a value. The caller is told when the
 * aborted attempt has settled, or after a few microtasks.
 *
 * Only for functions that may be run twice at once.
 *
 * @throws TypeError or RangeError for a bad option.
 */
export function hedge(options: HedgeOptions): Hedge {
  return new HedgePolicy(options);
}
