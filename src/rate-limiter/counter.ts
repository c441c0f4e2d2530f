import { Counters, STRIDE } from './counters.js';
import type { Meter, Reading } from './meter.js';

/** {@link Counters} of one slot. */
export class Counter implements Meter {
  readonly #counters: Counters;

  constructor(limit: number, windowMs: number) {
    this.#counters = new Counters(limit, windowMs, new Float64Array(STRIDE));
  }

  get limit(): number {
    return this.#counters.limit;
  }

  set limit(limit: number) {
    this.#counters.limit = limit;
  }

  take(now: number, cost: number): boolean {
    return this.#counters.take(0, now, cost);
  }

  giveBack(at: number, cost: number): void {
    this.#counters.giveBack(0, at, cost);
  }

  waitMs(now: number, cost: number): number {
    return this.#counters.waitMs(0, now, cost);
  }

  read(now: number): Reading {
    return this.#counters.read(0, now);
  }
}
