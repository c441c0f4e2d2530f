import type { Meter, Reading } from './meter.js';
import { Counters, STRIDE } from './two-counter-table.js';

/** {@link Counters} of one slot. */
export class Counter implements Meter {
  readonly #counters: Counters;

  constructor(windowMs: number) {
    this.#counters = new Counters(windowMs, new Float64Array(STRIDE));
  }

  take(now: number, cost: number, limit: number): boolean {
    return this.#counters.take(0, now, cost, limit);
  }

  refund(at: number, cost: number): void {
    this.#counters.refund(0, at, cost);
  }

  waitMs(now: number, cost: number, limit: number, _key?: string, held = now): number {
    return this.#counters.waitMs(0, now, cost, limit, held);
  }

  read(now: number, limit: number, _key?: string, held = now): Reading {
    return this.#counters.read(0, now, limit, held);
  }
}
