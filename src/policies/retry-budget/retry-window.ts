/**
 * A retry budget that probes how many retries the downstream can take, and backs off when they fail. Once per period,
 * with f the window, g the retries sent, s the share of the answers to retries that were good, t the requests:
 *
 *     s ≥ successRatio, g ≥ ⌊f⌋   f ← f + max(min(growthRatio · t, f), 1)
 *     s ≥ successRatio, g < ⌊f⌋   f stays; also where no retry was answered
 *     s < successRatio            f ← max(1, f / 2), or 1
 *
 * f starts at 1 and is a real number; ⌊f⌋ retries per period are allowed. Source: QQ Music's high-availability article.
 * Its text says that back-off resets to 1, its code halves; the option `backoff` decides.
 */

import { notify, type Observer } from '../../core/events.js';
import { OptionReader } from '../../core/options/validate.js';
import { type Clock, systemClock } from '../../core/time/clock.js';
import type { RetryBudget } from './budget.js';

/** Options of {@link retryWindow}. */
export interface RetryWindowOptions {
  /** Length of a period, ms; > 0. @default 1_000 */
  periodMs?: number | undefined;
  /** At or over this share of good answers the window may grow, under it it backs off; 0 to 1. @default 0.98 */
  successRatio?: number | undefined;
  /**
   * The window grows by at most this share of a period's requests (by 1 at least, never more than twofold); 0 to 1.
   * @default 0.01
   */
  growthRatio?: number | undefined;
  /** What a period with bad answers does to the window: `halve` it, or `reset` it to 1. @default 'halve' */
  backoff?: 'halve' | 'reset' | undefined;
  /** Name in events. @default 'retryWindow' */
  name?: string | undefined;
  /** The same clock as that of the policies that ask it. @default systemClock */
  clock?: Clock | undefined;
  /** Told of growth and back-off. */
  observer?: Observer | undefined;
}

/** Plain data on a retry window. */
export interface RetryWindowSnapshot {
  /** f, ≥ 1: the retries allowed a period are the whole part of it. */
  window: number;
  /** Retries of this period so far. */
  used: number;
  /** Share of this period's answers to retries that were good; 1 while there are none. */
  successRatio: number;
}

/** A {@link retryWindow}. */
export interface RetryWindow extends Required<Omit<RetryBudget, 'onFirstDone'>> {
  readonly clock: Clock;
  readonly name: string;
  snapshot(): RetryWindowSnapshot;
}

/** The retries of one period, and their outcomes. */
class Period {
  requests = 0;
  sent = 0;
  pending = 0;
  good = 0;
  bad = 0;
  constructor(readonly number: number) {}
}

/** After so many periods the window no longer waits for an answer. */
const LONGEST_WAIT = 100;

class ProbingWindow implements RetryWindow {
  readonly name: string;
  readonly clock: Clock;
  readonly #periodMs: number;
  readonly #successRatio: number;
  readonly #growthRatio: number;
  readonly #backoff: 'halve' | 'reset';
  readonly #observer: Observer | undefined;
  #window = 1;
  #current = new Period(-Infinity);
  /** The periods with unanswered retries, oldest first, and the current one. */
  #open: Period[] = [];
  /** A period that used up the window: once all its retries are answered, they decide whether the window may grow. */
  #probe: Period | undefined;
  /** Answers that came in this period, to retries of any period. */
  #good = 0;
  #bad = 0;

  constructor(options: RetryWindowOptions | undefined) {
    const read = new OptionReader('retryWindow', options);
    this.#periodMs = read.number('periodMs', 1_000, { above: 0 });
    this.#successRatio = read.number('successRatio', 0.98, { min: 0, max: 1 });
    this.#growthRatio = read.number('growthRatio', 0.01, { min: 0, max: 1 });
    this.#backoff = read.oneOf('backoff', 'halve', ['halve', 'reset']);
    this.name = read.name('retryWindow');
    this.clock = read.object('clock', systemClock, ['now', 'setTimer', 'clearTimer']);
    this.#observer = read.fn('observer');
    read.done();
  }

  onRequest(now = this.clock.now()): void {
    this.#advance(now);
    this.#current.requests++;
  }

  onUnsent(at = this.clock.now()): void {
    if (Math.floor(at / this.#periodMs) === this.#current.number) this.#current.requests--;
  }

  canRetry(now = this.clock.now()): boolean {
    this.#advance(now);
    return this.#current.sent < Math.floor(this.#window);
  }

  tryRetry(now?: number): boolean {
    if (!this.canRetry(now)) return false;
    this.#current.sent++;
    this.#current.pending++;
    return true;
  }

  onRetryDone(ok: boolean | undefined, allowedAt?: number, sent = true): void {
    const now = this.clock.now();
    this.#advance(now);
    const period = this.#periodOf(allowedAt);
    period.pending--;
    if (!sent) period.sent--;
    if (ok === true) {
      this.#good++;
      period.good++;
    } else if (ok === false) {
      this.#bad++;
      period.bad++;
    }
    if (period === this.#probe && period.pending === 0) this.#conclude(period, now);
  }

  snapshot(): RetryWindowSnapshot {
    this.#advance(this.clock.now());
    const { sent: used } = this.#current;
    const share = shareOfGood(this.#good, this.#bad);
    return { window: this.#window, used, successRatio: Number.isNaN(share) ? 1 : share };
  }

  /** The period of a retry allowed at `at`; where that is not known, the first sent counts as the first answered. */
  #periodOf(at = NaN): Period {
    const waiting = this.#open.filter((period) => period.pending > 0);
    const number = Math.floor(at / this.#periodMs);
    // There is none where more answers than retries are reported.
    return waiting.find((period) => period.number === number) ?? waiting[0] ?? new Period(NaN);
  }

  #advance(now: number): void {
    const number = Math.floor(now / this.#periodMs);
    // Ignore a clock that steps back or returns NaN.
    if (number > this.#current.number) this.#close(number, now);
  }

  /** The period may have ended long ago: those after it had no retries, and change nothing. */
  #close(next: number, now: number): void {
    const closed = this.#current;
    const share = shareOfGood(this.#good, this.#bad);
    this.#current = new Period(next);
    this.#open = this.#open.filter(({ pending, number }) => {
      if (pending === 0) return false;
      return next - number <= LONGEST_WAIT;
    });
    this.#open.push(this.#current);
    this.#good = this.#bad = 0;
    if (share < this.#successRatio) {
      this.#backOff(now);
      return;
    }
    if (closed.sent >= Math.floor(this.#window)) this.#probe ??= closed;
    if (this.#probe === undefined) return;
    if (this.#probe.pending === 0) this.#conclude(this.#probe, now);
    else if (next - this.#probe.number > LONGEST_WAIT) this.#probe = undefined;
  }

  #conclude(probe: Period, now: number): void {
    this.#probe = undefined;
    const share = shareOfGood(probe.good, probe.bad);
    if (share < this.#successRatio) this.#backOff(now);
    else if (share >= this.#successRatio) {
      const growth = Math.max(Math.min(this.#growthRatio * probe.requests, this.#window), 1);
      this.#change(this.#window + growth, 'grown', now);
    }
  }

  #backOff(now: number): void {
    // Its answers are about the larger window.
    this.#probe = undefined;
    this.#change(this.#backoff === 'halve' ? Math.max(1, this.#window / 2) : 1, 'backed_off', now);
  }

  #change(window: number, change: 'grown' | 'backed_off', at: number): void {
    if (window === this.#window) return;
    this.#window = window;
    if (this.#observer !== undefined)
      notify(this.#observer, { type: 'retry_window', policy: this.name, at, window, change });
  }
}

/** NaN where there is neither. */
const shareOfGood = (good: number, bad: number): number => good / (good + bad);

/**
 * A {@link RetryBudget} that starts with one retry a period, grows while retries succeed and are used up, and halves
 * when they fail. One can be shared by many policies and pipelines; several can be combined in a list.
 *
 * In an outage it allows one retry a period, once it has shrunk. It grows when all retries of a period that used it up
 * have been answered, however late, so that it never gets further than one step beyond what the downstream can take.
 *
 * @throws TypeError or RangeError for a bad option.
 */
export function retryWindow(options?: RetryWindowOptions): RetryWindow {
  return new ProbingWindow(options);
}
