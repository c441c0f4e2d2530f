/**
 * Retries as a share of the requests, over the last `ttlMs`:
 *
 *     retries ≤ ratio · requests + minRetriesPerSecond · ttl
 *
 * Source: Finagle's RetryBudget, which Linkerd has too.
 */

import { RollingWindow } from '../../core/numbers/rolling-window.js';
import { OptionReader } from '../../core/options/validate.js';
import { type Clock, systemClock } from '../../core/time/clock.js';
import type { RetryBudget } from './budget.js';

/** Options of {@link ratioBudget}. */
export interface RatioBudgetOptions {
  /** Retries for each request; ≥ 0. @default 0.2 */
  ratio?: number | undefined;
  /** Retries per second that are allowed however few the requests; ≥ 0. @default 10 */
  minRetriesPerSecond?: number | undefined;
  /**
   * How long a request counts, ms; > 0. What `minRetriesPerSecond` allows in that time may be used at once.
   * @default 10_000
   */
  ttlMs?: number | undefined;
  /** The same clock as that of the policies that ask it. @default systemClock */
  clock?: Clock | undefined;
}

/** Plain data on a ratio budget. */
export interface RatioBudgetSnapshot {
  /** Of the last `ttlMs`. */
  requests: number;
  /** Of the last `ttlMs`. */
  retries: number;
  /** Retries allowed now. */
  remaining: number;
}

/** A {@link ratioBudget}. */
export interface RatioBudget extends Required<Omit<RetryBudget, 'onFirstDone'>> {
  readonly clock: Clock;
  snapshot(): RatioBudgetSnapshot;
}

const BUCKETS = 50;

class Ratio implements RatioBudget {
  readonly clock: Clock;
  readonly #ratio: number;
  readonly #reserve: number;
  readonly #requests: RollingWindow;
  /** Looks back one bucket further, so that retries are counted for at least `ttlMs`, and requests for at most that. */
  readonly #retries: RollingWindow;

  constructor(options: RatioBudgetOptions | undefined) {
    const read = new OptionReader('ratioBudget', options);
    this.#ratio = read.number('ratio', 0.2, { min: 0 });
    const perSecond = read.number('minRetriesPerSecond', 10, { min: 0 });
    const ttlMs = read.number('ttlMs', 10_000, { above: 0 });
    this.clock = read.object('clock', systemClock, ['now', 'setTimer', 'clearTimer']);
    read.done();
    this.#reserve = (perSecond * ttlMs) / 1_000;
    this.#requests = new RollingWindow(ttlMs, BUCKETS, 1);
    this.#retries = new RollingWindow((ttlMs / BUCKETS) * (BUCKETS + 1), BUCKETS + 1, 1);
  }

  onRequest(now = this.clock.now()): void {
    this.#requests.advance(now);
    this.#requests.addNow(0, 1);
  }

  canRetry(now = this.clock.now()): boolean {
    return this.#remaining(now) >= 1;
  }

  tryRetry(now?: number): boolean {
    if (!this.canRetry(now)) return false;
    this.#retries.addNow(0, 1);
    return true;
  }

  onUnsent(at = this.clock.now()): void {
    this.#requests.add(0, at, -1);
  }

  onRetryDone(_ok?: boolean, allowedAt = this.clock.now(), sent = true): void {
    if (!sent) this.#retries.add(0, allowedAt, -1);
  }

  snapshot(): RatioBudgetSnapshot {
    const remaining = Math.max(0, Math.floor(this.#remaining(this.clock.now())));
    return { requests: this.#requests.total(0), retries: this.#retries.total(0), remaining };
  }

  #remaining(now: number): number {
    this.#requests.advance(now);
    this.#retries.advance(now);
    return this.#ratio * this.#requests.total(0) + this.#reserve - this.#retries.total(0);
  }
}

/**
 * A {@link RetryBudget} that allows a share of the requests to be retried, and some per second in any case: Finagle's
 * and Linkerd's. At 100 requests per second all of which fail, the default allows 1.3 tries per request; at 10,000,
 * 1.2.
 *
 * @throws TypeError or RangeError for a bad option.
 */
export function ratioBudget(options?: RatioBudgetOptions): RatioBudget {
  return new Ratio(options);
}
