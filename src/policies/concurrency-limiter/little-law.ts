/**
 * Little's law, `L = λ · W`: a downstream that answers `maxQps` calls per second, each in `minRtt`, works on
 * `maxQps · minRtt` of them at a time, and what is in flight beyond that waits. Numbers only: no clock, no calls.
 *
 * In flight `n`, a downstream of `capacity` answers in `minRtt · max(1, n / capacity)`. So one level of `n` cannot tell
 * a slow downstream from a queue, nor whether there is room for more. Two can:
 * - `cruise` at `headroomRatio` over capacity: the response time gives the throughput, `maxQps = n / rtt`. Had the
 *   downstream room, that is more than before.
 * - `drain` at `drainRatio` under it, for a moment, now and then and after every fall: no queue, so the response time
 *   is `minRtt`.
 *
 * docs/decisions/0003 has what lost, with figures.
 */
import type { Measurement } from './cohort.js';
import { Estimate } from './estimate.js';

/** The settings of a {@link LittleLaw}. */
export interface LittleLawSettings {
  windowMs: number;
  /** Share over capacity that is admitted to find out whether there is more. */
  headroomRatio: number;
  /** Share under capacity that is admitted to find out how fast the downstream is without a queue. */
  drainRatio: number;
}

/** What the limit has to stay within. */
export interface LimitBounds {
  minLimit: number;
  maxLimit: number;
}

/** The headroom grows to so many times its size while the downstream turns out to have room. */
const MAX_BOOST = 4;
/** That is, while a cohort raises the throughput by this factor. */
const GROWTH = 1.05;
/** Changes of this share of the headroom have to show in time; smaller ones may be averaged out. */
const MATTERS = 0.6;
/** While minRtt is not known to this, a drain comes before any conclusion. */
const KNOWN_RATIO = 0.3;
/** As exact as this, a drain that has found a queue goes on to half the level. */
const EXACT_RATIO = 0.03;
/** At most so many drains a window, and at most this share of all answers lost to them. */
const DRAINS_A_WINDOW = 5;
const DRAIN_LOSS_RATIO = 0.03;

/**
 * What is left of the level of which `droppedRatio` were dropped. However regular their time-outs, they are no reason
 * to grow (Netflix/concurrency-limits #137); and one alarm does not take more than half.
 */
const keptOf = (droppedRatio: number): number => Math.max(0.5, 1 - droppedRatio);

/** The limit as it follows from one measurement after the other. */
export class LittleLaw {
  /** The limit now; a whole number. Before there are data, `maxLimit`. */
  limit: number;
  readonly #settings: LittleLawSettings;
  #bounds: LimitBounds;
  /** Calls a ms at capacity, by the response time of those that succeed: those that fail take places, too. */
  #throughput = new Estimate();
  /** Response time without a queue, ms. */
  #minRtt = new Estimate();
  #draining = false;
  #boost = 1;
  #successRatio = 1;
  #drainedAt = -Infinity;
  #drainMs = 0;
  #drainedThroughput = 0;
  #cruiseRttMs = Infinity;

  constructor(settings: LittleLawSettings, bounds: LimitBounds) {
    this.#settings = settings;
    this.#bounds = bounds;
    this.limit = Math.floor(bounds.maxLimit);
  }

  /** One that goes on by itself: to see what it would learn. */
  copy(): LittleLaw {
    const made = new LittleLaw(this.#settings, this.#bounds);
    made.limit = this.limit;
    made.#throughput = this.#throughput.copy();
    made.#minRtt = this.#minRtt.copy();
    made.#draining = this.#draining;
    made.#boost = this.#boost;
    made.#successRatio = this.#successRatio;
    made.#drainedAt = this.#drainedAt;
    made.#drainMs = this.#drainMs;
    made.#drainedThroughput = this.#drainedThroughput;
    made.#cruiseRttMs = this.#cruiseRttMs;
    return made;
  }

  /** Whether there are data. */
  get isKnown(): boolean {
    return this.#minRtt.isKnown;
  }

  /** Response time without a queue, ms; NaN without data. */
  get minRttMs(): number {
    return this.#minRtt.value;
  }

  /** Calls that the downstream answers with success per second at most; NaN without data. */
  get maxQps(): number {
    return this.#throughput.value * this.#successRatio * 1_000;
  }

  /** Calls that the downstream works on at a time: Little's law. */
  get capacity(): number {
    return this.#throughput.value * this.#minRtt.value;
  }

  setBounds(bounds: LimitBounds): void {
    this.#bounds = bounds;
    if (this.isKnown) this.#cruise();
    else this.limit = Math.floor(bounds.maxLimit);
  }

  /** Without data, as at the start. */
  forget(): void {
    this.#throughput = new Estimate();
    this.#minRtt = new Estimate();
    this.#drainedAt = -Infinity;
    this.#drainedThroughput = 0;
    this.limit = Math.floor(this.#bounds.maxLimit);
  }

  /** The very first answers. */
  begin(seen: Measurement): void {
    this.#successRatio = 1;
    this.#minRtt.set(seen.rttMs, seen.error);
    this.#throughput.set(seen.throughput * keptOf(seen.droppedRatio), seen.error);
    this.#cruise();
  }

  /** Calls made at the present limit. */
  learn(seen: Measurement, at: number): void {
    // The throughput without refusals is that of the successes already.
    this.#successRatio = seen.limited || this.#draining ? seen.successRatio : 1;
    if (this.#draining) this.#learnDrained(seen, at);
    else if (!seen.limited) this.#learnUnlimited(seen);
    else if (seen.droppedRatio === 1) this.#back(keptOf(1), seen.error);
    else if (this.#minRtt.isWithin(KNOWN_RATIO) || this.#isFixed) this.#learnCruising(seen, at);
    else this.#drain(seen);
  }

  #learnCruising(seen: Measurement, at: number): void {
    const { rttMs, error, droppedRatio } = seen;
    const before = this.#throughput.value;
    const answered = Math.max(this.limit, seen.inflight) / rttMs;
    this.#throughput.learn(answered * keptOf(droppedRatio), error, this.#matters);
    // Less even than without a queue: then without one it is less still.
    const isFaster = this.#minRtt.lowerTo(rttMs, error);
    const growing = droppedRatio === 0 && this.#throughput.value > before * GROWTH;
    this.#boost = growing ? Math.min(MAX_BOOST, this.#boost * 2) : 1;
    const fell = this.#throughput.value < this.#drainedThroughput * (1 - this.#settings.drainRatio);
    const due = !growing && at - this.#drainedAt > this.#cruiseMs;
    if (fell || due || isFaster) this.#drain(seen);
    else this.#cruise();
  }

  #learnDrained({ inflight, rttMs, error, spanMs, droppedRatio }: Measurement, at: number): void {
    const throughput = this.#throughput.value;
    this.#drainMs = spanMs;
    this.#drainedAt = at;
    this.#drainedThroughput = throughput;
    // Slower although fewer are in flight: the downstream is changing under our eyes. Look again.
    const isUpset = Math.log(rttMs / this.#cruiseRttMs) > GROWTH - 1 + 3 * error;
    if (isUpset || droppedRatio > 0) {
      this.#back(keptOf(droppedRatio), error);
      return;
    }
    // As many answers as with more in flight: there still is a queue, and rttMs is only an upper bound of minRtt.
    const isQueueing = inflight > 1 && Math.log(inflight / rttMs / throughput) > -this.#settings.drainRatio / 2;
    // Then the next one may come soon, whatever it costs.
    if (isQueueing) this.#drainMs = 0;
    if (!isQueueing || rttMs < this.minRttMs) this.#minRtt.learn(rttMs, error, this.#matters);
    if (isQueueing && this.limit > this.#drainFloor && error < EXACT_RATIO) this.#setDrainLimit(inflight / 2);
    else this.#cruise();
  }

  /** Without refusals: there may be room for more than what came, and there is nothing to limit if there is not. */
  #learnUnlimited({ rttMs, error, throughput, droppedRatio }: Measurement): void {
    if (droppedRatio > this.#settings.headroomRatio) {
      this.#back(keptOf(droppedRatio), error);
      return;
    }
    if (rttMs < this.minRttMs || !this.#minRtt.isWithin(error)) this.#minRtt.learn(rttMs, error, 0);
    if (throughput > this.#throughput.value) this.#throughput.learn(throughput, error, this.#matters);
    this.#back(1, error);
  }

  /** Cruises on at this share of the capacity. */
  #back(ratio: number, error: number): void {
    this.#boost = 1;
    if (ratio < 1) this.#throughput.set(this.#throughput.value * ratio, error);
    this.#cruise();
  }

  /** From one drain to the next. */
  get #cruiseMs(): number {
    const lostRatio = 1 - Math.min(1, this.#drainLevel / this.capacity);
    return Math.max(this.#settings.windowMs / DRAINS_A_WINDOW, (this.#drainMs * lostRatio) / DRAIN_LOSS_RATIO);
  }

  get #drainLevel(): number {
    return Math.max(this.#drainFloor, Math.floor(this.capacity * (1 - this.#settings.drainRatio)));
  }

  /** Headroom as a share; small limits need a whole call of it. */
  get #headroom(): number {
    return Math.max(this.#settings.headroomRatio * this.#boost, 1 / this.capacity);
  }

  get #matters(): number {
    return MATTERS * Math.max(this.#settings.headroomRatio, 1 / this.capacity);
  }

  /** Whether there is only one limit to choose from. */
  get #isFixed(): boolean {
    return this.#bounds.minLimit === this.#bounds.maxLimit;
  }

  #cruise(): void {
    this.#draining = false;
    const { minLimit, maxLimit } = this.#bounds;
    const level = Math.round(this.capacity * (1 + this.#headroom));
    this.limit = Math.floor(Math.min(maxLimit, Math.max(minLimit, level)));
  }

  /** A drain may go below `minLimit`, as a limit that is never gone below cannot be seen to be too high. */
  get #drainFloor(): number {
    return Math.max(1, Math.floor(this.#bounds.minLimit / 2));
  }

  #drain(seen: Measurement): void {
    this.#boost = 1;
    this.#cruise();
    if (this.#isFixed) return;
    this.#draining = true;
    this.#cruiseRttMs = seen.rttMs;
    this.#setDrainLimit(this.#drainLevel);
  }

  #setDrainLimit(level: number): void {
    this.limit = Math.max(this.#drainFloor, Math.min(Math.floor(level), this.limit - 1));
  }
}
