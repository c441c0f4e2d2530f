import type { Verdict } from '../../core/policy.js';
import { Cohort, type CohortPlan } from './cohort.js';
import { type LimitBounds, LittleLaw } from './little-law.js';

/** The settings of an {@link AdaptiveLimit}. */
export interface AdaptiveLimitSettings {
  windowMs: number;
  buckets: number;
  headroomRatio: number;
  drainRatio: number;
  precisionRatio: number;
}

/** No response time, but a broken clock or a caller who never came back. */
const MAX_ELAPSED_MS = 2 ** 31;
/** A cohort takes in calls for a tenth of the window at most. */
const COHORTS_A_WINDOW = 10;
const LOOKS_A_BUCKET = 16;
/** For a law that has bounds of its own. */
const NO_BOUNDS = { minLimit: 1, maxLimit: Infinity };
/** Less than any two calls are apart, unless they began in the same instant. */
const A_MOMENT_MS = 1e-6;

/** Little's law fed with one cohort of calls after the other. Time comes with the calls. */
export class AdaptiveLimit {
  readonly law: LittleLaw;
  readonly #cohort: Cohort;
  readonly #settings: AdaptiveLimitSettings;
  readonly #plan: CohortPlan;
  readonly #windowMs: number;
  /** When a cohort was last looked at for its end, and when it will be next. */
  #lookedAt = -Infinity;
  #lookAt = -Infinity;

  constructor(
    settings: AdaptiveLimitSettings,
    bounds: LimitBounds,
    law = new LittleLaw(settings, bounds),
    cohort = new Cohort(),
  ) {
    const { windowMs, buckets } = settings;
    this.law = law;
    this.#cohort = cohort;
    this.#settings = settings;
    this.#windowMs = windowMs;
    this.#plan = {
      minMs: windowMs / buckets,
      maxMs: Math.max(windowMs / buckets, windowMs / COHORTS_A_WINDOW),
      error: settings.precisionRatio,
      rttMs: NaN,
    };
  }

  /** Moves on to `at`; true when that has given a new limit. */
  advance(at: number, inflight: number): boolean {
    // Nearly always: the rest is looked at a few times per bucket.
    if (at >= this.#lookedAt && at < this.#lookAt) return false;
    return this.#look(at, inflight);
  }

  admit(at: number, inflight: number): void {
    this.#cohort.admit(at, inflight);
  }

  refuse(): void {
    this.#cohort.refuse();
  }

  /** A call has ended; without `learns` the limit stays as it is for now. */
  end(startedAt: number, elapsedMs: number, verdict: Verdict, learns = true): void {
    const isSample = elapsedMs >= 0 && elapsedMs <= MAX_ELAPSED_MS;
    this.#cohort.end(startedAt, elapsedMs, isSample ? verdict : 'ignored');
    // Until now it was in flight itself.
    if (isSample && learns) this.advance(startedAt + elapsedMs, 1);
  }

  /** Begins to measure again with the calls from `at` on, at the limit that holds. */
  restart(at: number): void {
    this.#cohort.restart(at - Math.max(A_MOMENT_MS, Math.abs(at) * 2 ** -52));
  }

  /** Forgets what was learned, and begins to measure again with the calls after `at`. */
  startOver(at: number): void {
    this.law.forget();
    this.#setLooked(at);
    this.#cohort.restart(at);
  }

  /** What a call at `at` would find. Changes nothing. */
  lawAt(at: number, inflight: number): LittleLaw {
    if (at >= this.#lookedAt && at < this.#lookAt) return this.law;
    const copy = new AdaptiveLimit(this.#settings, NO_BOUNDS, this.law.copy(), this.#cohort.copy());
    copy.#plan.rttMs = this.#plan.rttMs;
    copy.#lookedAt = this.#lookedAt;
    copy.#look(at, inflight);
    return copy.law;
  }

  #look(at: number, inflight: number): boolean {
    const sinceMs = at - this.#lookedAt;
    if (!(sinceMs >= 0)) {
      // Calls that began a little earlier come late; a clock that has been set back does so by more.
      if (sinceMs < -this.#windowMs) this.#restartAll(at);
      return false;
    }
    // What was learned before a window of silence is out of date.
    if (sinceMs > this.#windowMs && inflight === 0 && this.law.isKnown) {
      this.law.forget();
      this.#restartAll(at);
    }
    this.#setLooked(at);
    return this.law.isKnown ? this.#learn(at) : this.#begin(at);
  }

  #setLooked(at: number): void {
    this.#lookedAt = at;
    this.#lookAt = at + this.#plan.minMs / LOOKS_A_BUCKET;
  }

  #restartAll(at: number): void {
    this.#setLooked(at);
    this.#cohort.restart(Number.NEGATIVE_INFINITY);
  }

  #begin(at: number): boolean {
    if (!this.#cohort.hasFirstAnswers(at, this.#plan.minMs)) return false;
    this.law.begin(this.#cohort.measureFirst(at));
    return this.#next(at);
  }

  #learn(at: number): boolean {
    if (!this.#cohort.isComplete(at, this.#plan)) return false;
    const seen = this.#cohort.measure(at);
    if (seen !== undefined) this.law.learn(seen, at);
    return this.#next(at);
  }

  #next(at: number): boolean {
    this.#plan.rttMs = this.law.minRttMs;
    this.#cohort.restart(at);
    return true;
  }
}
