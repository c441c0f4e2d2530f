/** How many standard errors apart two figures have to be before the newer one replaces the older at once. */
const SURPRISE = 4;

/**
 * A positive figure known through noisy measurements, each with its relative standard error. Works on logarithms: twice
 * as much is as far away as half as much.
 */
export class Estimate {
  value = NaN;
  /** Square of the relative standard error. */
  #variance = Infinity;

  /** One that goes on by itself. */
  copy(): Estimate {
    const made = new Estimate();
    made.set(this.value, 0);
    made.#variance = this.#variance;
    return made;
  }

  get isKnown(): boolean {
    return this.#variance < Infinity;
  }

  /** Whether its standard error is at most `ratio`. */
  isWithin(ratio: number): boolean {
    return this.#variance <= ratio * ratio;
  }

  /** `error` is the relative standard error of `measured`. */
  set(measured: number, error: number): void {
    this.value = measured;
    this.#variance = error * error;
  }

  /**
   * Moves towards `measured`: all the way if that is a surprise; otherwise by what the errors of both say, and at least
   * as far as a change of size `matters` that is going on demands (0: the figure does not change by itself).
   */
  learn(measured: number, error: number, matters: number): void {
    if (!this.isKnown || this.#isSurprise(measured, error)) {
      this.set(measured, error);
      return;
    }
    const noise = error * error;
    const known = this.#variance + noise > 0 ? this.#variance / (this.#variance + noise) : 1;
    const weight = Math.max(known, matters > 0 ? 1 / (1 + noise / (matters * matters)) : 0);
    this.value *= Math.exp(weight * Math.log(measured / this.value));
    this.#variance = (1 - weight) ** 2 * this.#variance + weight * weight * noise;
  }

  /** Takes `measured` if it is lower and a surprise; returns whether it is. */
  lowerTo(measured: number, error: number): boolean {
    const isLower = measured < this.value && this.#isSurprise(measured, error);
    if (isLower) this.set(measured, error);
    return isLower;
  }

  #isSurprise(measured: number, error: number): boolean {
    return Math.abs(Math.log(measured / this.value)) > SURPRISE * Math.sqrt(this.#variance + error * error) + 1e-9;
  }
}
