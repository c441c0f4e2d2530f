/**
 * How healthy one instance is, from the outcomes of its own calls alone. Its weight is a share of its static weight:
 *
 *     masked                                                    0
 *     else  min(ramp, (ρ / healthyRatio)^16, but ≥ 0.05)        ρ = success ratio of its latest 200 calls or so
 *
 * In the spirit of MSEC's nlb, whose weight · ρ² a period takes an instance with 3 % errors to nothing; this one
 * settles.
 */

/** The settings of {@link Health}. */
export interface HealthSettings {
  consecutiveFailures: number;
  minRequests: number;
  maskRatio: number;
  healthyRatio: number;
  ramp: 'linear' | 'exponential';
  rampMs: number;
}

export type InstanceState = 'up' | 'masked' | 'recovering';

/** Each step of a ramp takes a success: time alone proves nothing. */
const RAMP_STEPS = 20;
/** Where the exponential ramp begins; each of its steps is 26 % up. */
const EXPONENTIAL_START = 0.01;
/**
 * How many calls the success ratio looks back on: by number, so that an instance with few calls is judged as surely.
 */
const SAMPLES = 200;
/** What an unhealthy instance keeps, or there would be nothing to judge it by. */
const LEAST_WEIGHT = 0.05;
/** Failures in a row that end a recovery. One would do so at every error that is ordinary. */
const RELAPSE_FAILURES = 2;
/** Most successful probes in a row that it takes after relapses. */
const MAX_PROBES = 4;

export class Health {
  state: InstanceState = 'up';
  weight = 1;
  /** ρ; 1 while there was no call. */
  successRatio = 1;
  /** Of how many calls, at most SAMPLES. */
  samples = 0;
  /** Calls that began by then tell of the time before. */
  maskedAt = -Infinity;
  #failuresInARow = 0;
  #step = RAMP_STEPS;
  #steppedAt = 0;
  #goodProbes = 0;
  #neededProbes = 1;

  /** A call succeeded; `now` plays no part while the instance is up. */
  succeed(now: number, settings: HealthSettings): void {
    this.#failuresInARow = 0;
    if (this.state === 'masked') {
      if (++this.#goodProbes >= this.#neededProbes) this.beginRamp(now, settings);
      return;
    }
    this.#count(1);
    if (this.state === 'recovering' && now - this.#steppedAt >= settings.rampMs / RAMP_STEPS) this.#climb(now);
    if (this.weight < 1 || this.successRatio < settings.healthyRatio) this.#weigh(settings);
  }

  /** A call failed. */
  fail(now: number, settings: HealthSettings): void {
    if (this.state === 'masked') {
      this.#goodProbes = 0;
      return;
    }
    this.#count(0);
    const { consecutiveFailures, minRequests, maskRatio } = settings;
    const recovering = this.state === 'recovering';
    const limit = recovering ? Math.min(RELAPSE_FAILURES, consecutiveFailures) : consecutiveFailures;
    if (++this.#failuresInARow < limit && (this.samples < minRequests || this.successRatio >= maskRatio)) {
      this.#weigh(settings);
      return;
    }
    if (recovering) this.#neededProbes = Math.min(MAX_PROBES, this.#neededProbes * 2);
    this.state = 'masked';
    this.weight = this.#goodProbes = 0;
    this.maskedAt = now;
  }

  /** From the bottom of the ramp, with nothing counted. */
  beginRamp(now: number, settings: HealthSettings): void {
    this.state = 'recovering';
    this.successRatio = 1;
    this.samples = this.#failuresInARow = this.#step = 0;
    this.#steppedAt = now;
    this.#weigh(settings);
  }

  /** The clock was set by so much. */
  shift(byMs: number): void {
    this.maskedAt += byMs;
    this.#steppedAt += byMs;
  }

  #count(success: number): void {
    if (this.samples < SAMPLES) this.samples++;
    this.successRatio += (success - this.successRatio) / this.samples;
  }

  #climb(now: number): void {
    this.#steppedAt = now;
    if (++this.#step < RAMP_STEPS) return;
    this.state = 'up';
    this.#neededProbes = 1;
  }

  #weigh({ healthyRatio, minRequests, ramp }: HealthSettings): void {
    const climbed = this.#step / RAMP_STEPS;
    const onRamp = ramp === 'linear' ? Math.max(1 / RAMP_STEPS, climbed) : EXPONENTIAL_START ** (1 - climbed);
    const judged = this.samples >= minRequests;
    const byRatio = judged ? Math.max(LEAST_WEIGHT, (this.successRatio / healthyRatio) ** 16) : 1;
    this.weight = Math.min(onRamp, byRatio);
  }
}
