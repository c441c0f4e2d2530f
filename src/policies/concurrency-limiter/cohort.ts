import type { Verdict } from '../../core/policy.js';

/** What one cohort has shown. */
export interface Measurement {
  /** Calls in flight as its calls were admitted, themselves included: the mean. */
  inflight: number;
  /** Mean response time of its successes, ms; of its dropped calls if there is no success. */
  rttMs: number;
  /** Relative standard error of `rttMs`. */
  error: number;
  /** Successes a ms, while its calls were admitted. */
  throughput: number;
  /** Whether a call was refused meanwhile. */
  limited: boolean;
  /** Share of its calls that were dropped, failures left out: they say nothing about the downstream's load. */
  droppedRatio: number;
  /** Share of its calls that succeeded, failures counted. */
  successRatio: number;
  /** From its first call until now, ms. */
  spanMs: number;
}

/** How long a cohort takes in calls. */
export interface CohortPlan {
  /** At least so long, ms … */
  minMs: number;
  /** … and until the mean is known to this relative standard error … */
  error: number;
  /** … or this long, ms. */
  maxMs: number;
  /** A call takes about this, ms. */
  rttMs: number;
}

const MIN_CALLS = 20;
/** With fewer calls than `MIN_CALLS` in twice the plan's time, these have to do. */
const MIN_CALLS_SLOW = 5;
/** Calls that earlier cohorts stand for in the estimate of the dispersion. */
const PRIOR_CALLS = 20;
/** Not to wait for the last ones when no more than this share is still under way … */
const STRAGGLERS_RATIO = 0.05;
/** … for this many mean response times. */
const STRAGGLERS_WAIT = 1.5;
/** Clocks that stand still during a call: not nothing, for its logarithm. */
const LEAST_MS = 1e-6;

/**
 * The response time of calls admitted one after the other, all of them followed to their end: counting those that end
 * in an interval would leave out the slow ones, and counting those that began before it would measure an older limit
 * (envoyproxy/envoy #11579).
 */
export class Cohort {
  /** Members are the calls that started after `#from`, up to `#until`. */
  #from = -Infinity;
  #until = Infinity;
  #firstAt = NaN;
  /** When the first call ended that told something. */
  #answeredAt = NaN;
  #members = 0;
  #open = 0;
  #inflight = 0;
  #successes = 0;
  #rtt = 0;
  #rttSquares = 0;
  #dropped = 0;
  #failures = 0;
  #droppedRtt = 0;
  #limited = false;
  /** Square of the coefficient of variation of response times: 0 = all alike, 1 = exponential. */
  #dispersion = 0.5;

  /** A new one, of the calls that start later than `at`. */
  restart(at: number): void {
    this.#from = at;
    this.#until = Infinity;
    this.#firstAt = this.#answeredAt = NaN;
    this.#members = this.#open = this.#inflight = 0;
    this.#successes = this.#rtt = this.#rttSquares = this.#dropped = this.#droppedRtt = this.#failures = 0;
    this.#limited = false;
  }

  /** One that goes on by itself. */
  copy(): Cohort {
    const made = new Cohort();
    made.#from = this.#from;
    made.#until = this.#until;
    made.#firstAt = this.#firstAt;
    made.#answeredAt = this.#answeredAt;
    made.#members = this.#members;
    made.#open = this.#open;
    made.#inflight = this.#inflight;
    made.#successes = this.#successes;
    made.#rtt = this.#rtt;
    made.#rttSquares = this.#rttSquares;
    made.#dropped = this.#dropped;
    made.#failures = this.#failures;
    made.#droppedRtt = this.#droppedRtt;
    made.#limited = this.#limited;
    made.#dispersion = this.#dispersion;
    return made;
  }

  admit(at: number, inflight: number): void {
    if (at <= this.#from || at > this.#until) return;
    if (this.#members === 0) this.#firstAt = at;
    this.#members++;
    this.#open++;
    this.#inflight += inflight;
  }

  refuse(): void {
    this.#limited = true;
  }

  end(startedAt: number, elapsedMs: number, verdict: Verdict): void {
    if (startedAt <= this.#from || startedAt > this.#until || this.#open === 0) return;
    this.#open--;
    if ((verdict === 'success' || verdict === 'dropped') && Number.isNaN(this.#answeredAt)) {
      this.#answeredAt = startedAt + elapsedMs;
    }
    if (verdict === 'success') {
      const rtt = Math.max(LEAST_MS, elapsedMs);
      this.#successes++;
      this.#rtt += rtt;
      this.#rttSquares += rtt * rtt;
    } else if (verdict === 'dropped') {
      this.#dropped++;
      this.#droppedRtt += Math.max(LEAST_MS, elapsedMs);
    } else if (verdict === 'failure') {
      this.#failures++;
    }
  }

  /** Whether it has all its calls and they have ended; closes it to further calls when it is time. */
  isComplete(now: number, plan: CohortPlan): boolean {
    if (this.#until === Infinity) {
      if (this.#isFull(now, plan)) this.#until = now;
      return false;
    }
    const waitedMs = now - this.#until;
    if (this.#open === 0) return waitedMs > 0;
    const isLast = this.#open <= this.#members * STRAGGLERS_RATIO;
    // Without a success the mean is NaN, and no wait longer.
    return (isLast && waitedMs > (STRAGGLERS_WAIT * this.#rtt) / this.#successes) || waitedMs > 10 * plan.maxMs;
  }

  #isFull(now: number, { minMs, maxMs, error, rttMs }: CohortPlan): boolean {
    const members = this.#members;
    if (members < MIN_CALLS_SLOW) return false;
    const passedMs = now - this.#firstAt;
    // Some response times, as the wait for the last of them takes as long anyway; and no less than one, for workers may
    // go in step.
    if (passedMs < Math.max(minMs, rttMs * (1 + 4 * this.#dispersion))) return false;
    if (members < MIN_CALLS) return passedMs >= 2 * maxMs;
    return members * error * error >= this.#dispersion || passedMs >= maxMs;
  }

  /** Whether `minMs` have passed since the first answer to any of its calls. */
  hasFirstAnswers(now: number, minMs: number): boolean {
    return now - this.#answeredAt >= minMs;
  }

  /** What the first answers of a cohort that is not complete show. */
  measureFirst(now: number): Measurement {
    const ends = this.#successes + this.#dropped;
    return { ...this.#measurement(now, ends), error: 1, throughput: ends / (now - this.#answeredAt) };
  }

  /** What it has shown; undefined = no call of it has told anything. */
  measure(now: number): Measurement | undefined {
    let ends = this.#successes + this.#dropped;
    if (ends === 0 && this.#open === 0) return undefined;
    if (this.#open > 0) {
      // Calls are taken in evenly.
      const age = now - (this.#firstAt + this.#until) / 2;
      this.#successes += this.#open;
      this.#rtt += age * this.#open;
      this.#rttSquares += age * age * this.#open;
      ends += this.#open;
    }
    if (this.#successes > 1) {
      const mean = this.#rtt / this.#successes;
      const square = (this.#rttSquares / this.#successes / mean / mean - 1) * (ends / Math.max(1, ends - 1));
      const weight = this.#successes / (PRIOR_CALLS + this.#successes);
      this.#dispersion += weight * (Math.max(0, square) - this.#dispersion);
    }
    return this.#measurement(now, ends);
  }

  #measurement(now: number, ends: number): Measurement {
    const successes = this.#successes;
    return {
      inflight: this.#inflight / this.#members,
      rttMs: successes > 0 ? this.#rtt / successes : this.#droppedRtt / this.#dropped,
      error: Math.sqrt(this.#dispersion / Math.max(1, successes)),
      throughput: Math.max(0, successes - 1) / Math.max(LEAST_MS, this.#until - this.#firstAt),
      limited: this.#limited,
      droppedRatio: this.#dropped / ends,
      successRatio: successes / (ends + this.#failures),
      spanMs: now - this.#firstAt,
    };
  }
}
