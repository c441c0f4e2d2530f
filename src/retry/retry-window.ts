/**
 * A retry budget that probes how many retries the callee bears, and backs off when they fail. Once a period, with f the
 * window, g the retries sent, s the share of the answers to retries that were good, t the requests:
 *
 *     s ≥ successRatio, g ≥ ⌊f⌋   f ← f + max(min(growthRatio · t, f), 1)
 *     s ≥ successRatio, g < ⌊f⌋   f stays; also where no retry was answered
 *     s < successRatio            f ← max(1, f / 2), or 1
 *
 * f starts at 1 and is a real number; ⌊f⌋ retries a period are allowed. Source: QQ Music's high-availability article.
 * Its text says that back-off resets to 1, its code halves: hence `backoff`.
 */
import { type Clock, systemClock } from '../core/clock.js';
import { notify, type Observer } from '../core/events.js';
import { OptionReader } from '../core/validate.js';
import type { RetryBudget } from './budget.js';

/** Options of {@link retryWindow}. */
export interface RetryWindowOptions {
  /** Length of a period, ms; > 0. @default 1_000 */
  periodMs?: number;
  /** At or over this share of good answers the window may grow, under it it backs off; 0 to 1. @default 0.98 */
  successRatio?: number;
  /** The window grows by at most this share of a period's requests (by 1 at least, never more than twofold); 0 to 1. @default 0.01 */
  growthRatio?: number;
  /** What a period with bad answers does to the window: `halve` it, or `reset` it to 1. @default 'halve' */
  backoff?: 'halve' | 'reset';
  /** Name in events. @default 'retryWindow' */
  name?: string;
  /** The same as that of the policies that ask it. @default systemClock */
  clock?: Clock;
  /** Told of growth and back-off. */
  observer?: Observer;
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

class ProbingWindow implements RetryWindow {
  readonly name: string;
  readonly clock: Clock;
  readonly #periodMs: number;
  readonly #successRatio: number;
  readonly #growthRatio: number;
  readonly #backoff: 'halve' | 'reset';
  readonly #observer: Observer | undefined;
  #window = 1;
  /** Number of the period that the counts are of. */
  #period = -Infinity;
  #requests = 0;
  #used = 0;
  #good = 0;
  #bad = 0;
  /** Retries not answered yet, of whatever period. */
  #pending = 0;
  /** Answers still wanted before the window may grow: those of the former window, and all of one at the present size. */
  #unproven = 1;

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
    this.#requests++;
  }

  canRetry(): boolean {
    this.#advance(this.clock.now());
    return this.#used < Math.floor(this.#window);
  }

  tryRetry(): boolean {
    if (!this.canRetry()) return false;
    this.#used++;
    this.#pending++;
    return true;
  }

  onRetryDone(ok: boolean | undefined): void {
    this.#advance(this.clock.now());
    if (this.#pending > 0) this.#pending--;
    if (ok === undefined) return;
    if (ok) this.#good++;
    else this.#bad++;
    this.#unproven--;
  }

  snapshot(): RetryWindowSnapshot {
    this.#advance(this.clock.now());
    const answered = this.#good + this.#bad;
    return { window: this.#window, used: this.#used, successRatio: answered === 0 ? 1 : this.#good / answered };
  }

  #advance(now: number): void {
    const period = Math.floor(now / this.#periodMs);
    // Not so for a clock that went back, or is none.
    if (period > this.#period) this.#close(period, now);
  }

  /** The counts are of one period, however long ago it ended: those after it had no retries, and hold. */
  #close(next: number, now: number): void {
    const before = this.#window;
    const answered = this.#good + this.#bad;
    if (answered > 0 && this.#good / answered < this.#successRatio) {
      this.#window = this.#backoff === 'halve' ? Math.max(1, before / 2) : 1;
    } else if (answered > 0 && this.#used >= Math.floor(before) && this.#unproven <= 0) {
      this.#window = before + Math.max(Math.min(this.#growthRatio * this.#requests, before), 1);
    }
    this.#period = next;
    this.#requests = this.#used = this.#good = this.#bad = 0;
    if (this.#window === before) return;
    this.#unproven = this.#pending + Math.floor(this.#window);
    if (this.#observer === undefined) return;
    const change = this.#window > before ? 'grown' : 'backed_off';
    notify(this.#observer, { type: 'retry_window', policy: this.name, at: now, window: this.#window, change });
  }
}

/**
 * A {@link RetryBudget} that starts with one retry a period, grows while retries succeed and are used up, and halves when
 * they fail. One can be shared by many policies and pipelines; several can be combined in a list.
 *
 * In an outage it allows one retry a period, once it has shrunk. It waits to grow until every retry of the window's
 * present size has been answered, so that slow answers do not let it outrun what the callee bears.
 *
 * @throws TypeError or RangeError for a bad option.
 */
export function retryWindow(options?: RetryWindowOptions): RetryWindow {
  return new ProbingWindow(options);
}
