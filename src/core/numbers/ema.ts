/** Exponential moving average: `r = 2 / (samples + 1)`, `value ← x·r + value·(1 − r)`. */
export class Ema {
  readonly #weight: number;
  #seeded: boolean;
  /** The average so far; 0 while there is none. */
  value: number;

  /** Without a seed the first sample is the average to start from. */
  constructor(samples: number, seed: number | undefined) {
    this.#weight = 2 / (samples + 1);
    this.#seeded = seed !== undefined;
    this.value = seed ?? 0;
  }

  record(x: number): void {
    this.value = this.#seeded ? x * this.#weight + this.value * (1 - this.#weight) : x;
    this.#seeded = true;
  }
}
