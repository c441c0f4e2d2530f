/**
 * Google-SRE client-side throttling: over a rolling window,
 *
 *     p = max(0, (requests − k · accepts) / (requests + 1))
 *
 * is the probability with which a call is refused here. Refusals count as requests, so the callee gets about k calls
 * for each that it takes. Source: Site Reliability Engineering, chapter 21, "Handling Overload".
 */
import type { Context } from '../core/context.js';
import { notify } from '../core/events.js';
import { GateBase, readMode } from '../core/gate-base.js';
import type { Gate, GateOptions, Verdict } from '../core/policy.js';
import { RollingWindow } from '../core/rolling-window.js';
import { OptionReader } from '../core/validate.js';
import { Throttle } from './throttle.js';

/** Options of {@link circuitBreaker}. */
export interface CircuitBreakerOptions extends GateOptions {
  /** How many calls the callee may get for each that it takes, ≥ 1. Smaller refuses more. @default 2 */
  k?: number;
  /** How far back counts, ms; longer than nearly all calls last. @default 10_000 */
  windowMs?: number;
  /** In how many steps the window moves on, 1 to 10,000. @default 40 */
  buckets?: number;
  /** Fewer calls than this in the window refuse nothing, ≥ 0. @default 10 */
  minRequests?: number;
  /** `fast` re-opens the way within about a second of the callee's recovery; `sre` is the bare formula, which takes up
   * to several windows. @default 'fast' */
  recovery?: 'fast' | 'sre';
}

/** What {@link CircuitBreaker.update} can change. */
export type CircuitBreakerUpdate = Pick<CircuitBreakerOptions, 'k' | 'minRequests' | 'mode'>;

/** Plain data on a circuit breaker. */
export interface CircuitBreakerSnapshot {
  /** Calls in the window, the refused ones too. */
  requests: number;
  /** Those of them that succeeded. */
  accepts: number;
  /** Share of the calls that are refused at present. */
  rejectProbability: number;
  state: 'closed' | 'throttling';
}

/** A {@link circuitBreaker}. */
export interface CircuitBreaker extends Gate {
  /** Changes settings at once and keeps what was counted; all or nothing. */
  update(options: CircuitBreakerUpdate): void;
  snapshot(): CircuitBreakerSnapshot;
}

// The series of the window.
const REQUESTS = 0;
const ACCEPTS = 1;
/** Ended without success, refusals here included. What is neither is still in flight. */
const FAILURES = 2;

/** p of the formula, for what has been counted so far. */
export function rejectProbability(requests: number, accepts: number, k: number): number {
  return Math.max(0, (requests - k * accepts) / (requests + 1));
}

interface Settings {
  k: number;
  minRequests: number;
}

const readSettings = (read: OptionReader): Settings => ({
  k: read.number('k', 2, { min: 1 }),
  minRequests: read.number('minRequests', 10, { min: 0 }),
});

class SreBreaker extends GateBase implements CircuitBreaker {
  readonly reason = 'circuit_open';
  readonly usesElapsed = false;
  readonly #window: RollingWindow;
  /** With `recovery: 'fast'`. */
  readonly #throttle: Throttle | undefined;
  #settings: Settings;
  #throttling = false;
  /** What was admitted up to then no longer counts. */
  #forgottenAt = -Infinity;

  constructor(options: CircuitBreakerOptions | undefined) {
    const read = new OptionReader('circuitBreaker', options);
    super(read, 'circuitBreaker');
    this.#settings = readSettings(read);
    const windowMs = read.number('windowMs', 10_000, { above: 0 });
    const buckets = read.number('buckets', 40, { min: 1, max: 10_000, integer: true });
    const recovery = read.oneOf('recovery', 'fast', ['fast', 'sre']);
    read.done();
    this.#window = new RollingWindow(windowMs, buckets, 3);
    if (recovery === 'fast') this.#throttle = new Throttle(this.random);
  }

  tryAcquire(ctx?: Partial<Context>): boolean {
    if (this.mode === 'off') return true;
    const now = ctx?.startedAt ?? this.clock.now();
    const window = this.#window;
    window.advance(now);
    const admitted = this.#throttle === undefined ? this.#admitByFormula() : this.#admitFast(this.#throttle, now);
    window.add(REQUESTS, now, 1);
    if (admitted || this.refuse(now, ctx)) return true;
    window.add(FAILURES, now, 1);
    return false;
  }

  release(verdict: Verdict, elapsedMs: number, ctx?: Partial<Context>): void {
    const admittedAt = ctx?.startedAt ?? this.clock.now() - elapsedMs;
    // Forgotten since; or admitted while the mode was off, and so not counted as a request.
    if (admittedAt <= this.#forgottenAt || this.#inFlight() <= 0) return;
    if (verdict === 'ignored') {
      this.#window.add(REQUESTS, admittedAt, -1);
      return;
    }
    const ok = verdict === 'success';
    this.#window.add(ok ? ACCEPTS : FAILURES, admittedAt, 1);
    if (this.#throttling) this.#throttle?.settle(ok, admittedAt, this.#settings.k);
  }

  #inFlight(): number {
    const window = this.#window;
    return window.total(REQUESTS) - window.total(ACCEPTS) - window.total(FAILURES);
  }

  #probability(): number {
    const { k, minRequests } = this.#settings;
    const requests = this.#window.total(REQUESTS);
    return requests < minRequests ? 0 : rejectProbability(requests, this.#window.total(ACCEPTS), k);
  }

  #admitByFormula(): boolean {
    const p = this.#probability();
    return p === 0 || this.random() >= p;
  }

  /** Closed while the formula tolerates what has ended; calls in flight are no evidence yet. */
  #admitFast(throttle: Throttle, now: number): boolean {
    const { k, minRequests } = this.#settings;
    if (!this.#throttling) {
      const accepts = this.#window.total(ACCEPTS);
      const failures = this.#window.total(FAILURES);
      if (failures <= (k - 1) * accepts || failures + accepts < minRequests) return true;
      throttle.enter(now, this.#inFlight());
      this.#setState('throttling', now);
    } else if (this.#isOver(throttle, now)) {
      this.#close(now);
      return true;
    }
    return throttle.admit(now);
  }

  #isOver(throttle: Throttle, now: number): boolean {
    return this.#window.total(REQUESTS) === 0 || throttle.over(now, this.#settings.k);
  }

  /** What was counted before the callee's recovery is stale. */
  #close(now: number): void {
    this.#window.clear();
    this.#forgottenAt = now;
    this.#setState('closed', now);
  }

  #setState(state: 'closed' | 'throttling', at: number): void {
    this.#throttling = state === 'throttling';
    if (this.observer !== undefined) notify(this.observer, { type: 'circuit_state', policy: this.name, at, state });
  }

  /** Until a call gets through whatever the callee does: the next probe; by the bare formula, the window's next step. */
  retryAfterMs(ctx?: Partial<Context>): number {
    const now = ctx?.startedAt ?? this.clock.now();
    if (this.#throttle === undefined) return this.#probability() > 0 ? Math.max(0, this.#window.nextExpiryMs - now) : 0;
    return this.#throttling ? Math.max(0, this.#throttle.nextProbeMs - now) : 0;
  }

  update(options: CircuitBreakerUpdate): void {
    const read = new OptionReader(`${this.name}.update`, options, this.#settings);
    const settings = readSettings(read);
    const mode = readMode(read, this.mode);
    read.done();
    this.#settings = settings;
    this.mode = mode;
  }

  snapshot(): CircuitBreakerSnapshot {
    const now = this.clock.now();
    const window = this.#window;
    window.advance(now);
    const throttle = this.#throttle;
    if (throttle !== undefined && this.#throttling && this.#isOver(throttle, now)) this.#close(now);
    const p = throttle === undefined ? this.#probability() : this.#throttling ? throttle.rejectProbability : 0;
    const state = this.#throttling || p > 0 ? 'throttling' : 'closed';
    return { requests: window.total(REQUESTS), accepts: window.total(ACCEPTS), rejectProbability: p, state };
  }
}

/**
 * Refuses calls to a callee that fails them, as many as it takes for the callee to get about `k` calls for each that it
 * can serve. It never opens for good, so there is no half-open state to get stuck in.
 *
 * @throws TypeError or RangeError for a bad option.
 */
export function circuitBreaker(options?: CircuitBreakerOptions): CircuitBreaker {
  return new SreBreaker(options);
}
