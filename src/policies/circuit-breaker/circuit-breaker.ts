/**
 * Google-SRE client-side throttling: over a rolling window,
 *
 *     p = max(0, (requests − k · accepts) / (requests + 1))
 *
 * is the probability with which a call is refused here. Refusals count as requests, so the downstream gets about k
 * calls for each that it takes. Source: Site Reliability Engineering, chapter 21, "Handling Overload".
 */
import type { Context } from '../../core/call/context.js';
import { notify } from '../../core/events.js';
import { GateBase, readMode } from '../../core/gates/gate-base.js';
import { COUNTED, OVERRULED, UNCOUNTED } from '../../core/gates/ledger.js';
import { RollingWindow } from '../../core/numbers/rolling-window.js';
import { OptionReader } from '../../core/options/validate.js';
import type { Gate, GateOptions, Verdict } from '../../core/policy.js';
import { Throttle } from './throttle.js';

/** Options of {@link circuitBreaker}. */
export interface CircuitBreakerOptions extends GateOptions {
  /** How many calls the downstream may get for each that it takes, ≥ 1. Smaller refuses more. @default 2 */
  k?: number | undefined;
  /** How far back counts, ms, > 0; longer than nearly all calls last. @default 10_000 */
  windowMs?: number | undefined;
  /** In how many steps the window moves on, 1 to 10,000. @default 40 */
  buckets?: number | undefined;
  /** Fewer calls than this in the window refuse nothing, ≥ 0. @default 10 */
  minRequests?: number | undefined;
  /**
   * `fast` admits all calls again within about a second of the downstream's recovery; `sre` is the bare formula, which
   * takes up to several windows. @default 'fast'
   */
  recovery?: 'fast' | 'sre' | undefined;
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

// The series of the window. By the time of admission:
const REQUESTS = 0;
const ACCEPTS = 1;
// By the time of the end, or a call that fails after longer than the window would never have counted:
const SUCCESSES = 2;
const FAILURES = 3;

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
  /** By `#throttle`; the bare formula has no state. */
  #throttling = false;
  readonly #windowMs: number;
  /** When a call last asked. */
  #latest = -Infinity;
  /** The requests and accepts of calls admitted before that are forgotten. */
  #forgottenAt = -Infinity;

  constructor(options: CircuitBreakerOptions | undefined) {
    const read = new OptionReader('circuitBreaker', options);
    super(read, 'circuitBreaker');
    this.#settings = readSettings(read);
    this.#windowMs = read.number('windowMs', 10_000, { above: 0 });
    const buckets = read.number('buckets', 40, { min: 1, max: 10_000, integer: true });
    const recovery = read.oneOf('recovery', 'fast', ['fast', 'sre']);
    read.done();
    this.#window = new RollingWindow(this.#windowMs, buckets, 4);
    if (recovery === 'fast') this.#throttle = new Throttle(this.random);
  }

  tryAcquire(ctx?: Partial<Context>): boolean {
    if (this.mode === 'off') {
      this.ledger.note(UNCOUNTED, ctx);
      return true;
    }
    const now = this.#timeOf(ctx);
    this.#window.advance(now);
    const admitted = this.#admits(now);
    this.#window.addNow(REQUESTS, 1);
    if (admitted) {
      this.ledger.count(ctx);
      return true;
    }
    if (!this.refuse(now, ctx)) return false;
    this.ledger.note(OVERRULED, ctx);
    return true;
  }

  release(verdict: Verdict, elapsedMs: number, ctx?: Partial<Context>): void {
    const admission = this.ledger.end(ctx);
    if (admission === UNCOUNTED) return;
    const admittedAt = ctx?.startedAt ?? this.clock.now() - elapsedMs;
    const window = this.#window;
    const counted = admittedAt >= this.#forgottenAt && window.total(ACCEPTS) < window.total(REQUESTS);
    if (verdict === 'ignored') {
      if (counted) window.add(REQUESTS, admittedAt, -1);
      // A call that shadow mode let through has not spent a right.
      if (admission === COUNTED) this.#throttle?.refund(admittedAt);
      return;
    }
    const accepted = verdict === 'success';
    if (accepted && counted) window.add(ACCEPTS, admittedAt, 1);
    // Also of a forgotten call: a slow good one has to weigh against the quick failures that began after it.
    window.addNow(accepted ? SUCCESSES : FAILURES, 1);
    if (this.#throttle === undefined) return;
    if (this.#throttling) this.#throttle.settle(accepted, admittedAt, this.#settings.k);
    else if (!accepted) this.#trip(this.#throttle);
  }

  /** When a call asks. A clock that fails stands still; one that is set back by more than the window starts afresh. */
  #timeOf(ctx: Partial<Context> | undefined): number {
    const now = ctx?.startedAt ?? this.clock.now();
    if (now >= this.#latest && now < Infinity) {
      // Not by `Math.max`, which makes a number of its own: 16 bytes and 5 ns per call.
      this.#latest = now;
    } else if (now < this.#latest - this.#windowMs && now > -Infinity) {
      this.#window.restart();
      this.#latest = now;
      this.#forgottenAt = -Infinity;
    }
    return this.#latest;
  }

  #admits(now: number): boolean {
    const throttle = this.#throttle;
    if (throttle === undefined) {
      const p = this.#probability();
      return p === 0 || this.random() >= p;
    }
    if (this.#throttling && this.#isOver()) this.#close(now);
    return !this.#throttling || throttle.admit(now);
  }

  #probability(requests = this.#window.total(REQUESTS), accepts = this.#window.total(ACCEPTS)): number {
    const { k, minRequests } = this.#settings;
    return requests < minRequests ? 0 : rejectProbability(requests, accepts, k);
  }

  /** Begins to throttle when the formula no longer tolerates what has ended; calls in flight prove nothing yet. */
  #trip(throttle: Throttle): void {
    const { k, minRequests } = this.#settings;
    const successes = this.#window.total(SUCCESSES);
    const failures = this.#window.total(FAILURES);
    const ended = successes + failures;
    if (ended < minRequests || ended <= k * successes) return;
    const now = this.#latest;
    throttle.enter(now, Math.max(0, this.#window.total(REQUESTS) - ended));
    this.#setState('throttling', now);
  }

  /** To be asked only while throttling. */
  #isOver(requests = this.#window.total(REQUESTS)): boolean {
    return requests === 0 || (this.#throttle as Throttle).isOver(this.#settings.k);
  }

  /** What was counted before the downstream's recovery is stale. */
  #close(now: number): void {
    this.#window.clear();
    this.#forgottenAt = now;
    this.#setState('closed', now);
  }

  #setState(state: 'closed' | 'throttling', at: number): void {
    this.#throttling = state === 'throttling';
    if (this.observer === undefined) return;
    notify(this.observer, { type: 'circuit_state', policy: this.name, at, state, shadow: this.mode === 'shadow' });
  }

  /**
   * How long until a call gets through whatever the downstream does: the next probe; with the bare formula, the
   * next step of the window.
   */
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

  /** As the next call would find it. Changes nothing: that is for the call to do, and to tell. */
  snapshot(): CircuitBreakerSnapshot {
    const now = this.clock.now();
    const requests = this.#window.totalAt(REQUESTS, now);
    if (this.#throttling && this.#isOver(requests)) {
      return { requests: 0, accepts: 0, rejectProbability: 0, state: 'closed' };
    }
    const accepts = this.#window.totalAt(ACCEPTS, now);
    const throttle = this.#throttle;
    const p =
      throttle === undefined ? this.#probability(requests, accepts) : this.#throttling ? throttle.rejectProbability : 0;
    const state = this.#throttling || p > 0 ? 'throttling' : 'closed';
    return { requests, accepts, rejectProbability: p, state };
  }
}

/**
 * Refuses calls to a downstream that fails them, as many as it takes for the downstream to get about `k` calls for each
 * that it can serve. It never opens completely, so there is no half-open state to get stuck in.
 *
 * @throws TypeError or RangeError for a bad option.
 */
export function circuitBreaker(options?: CircuitBreakerOptions): CircuitBreaker {
  return new SreBreaker(options);
}
