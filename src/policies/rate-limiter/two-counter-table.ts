import { after, countUnits, type Reading, waitUntil } from './meter.js';

/** Numbers per slot, 32 bytes: two slots share a cache line, and none lies on two. */
export const STRIDE = 4;
/** Number of the latest aligned window that the slot was used in. */
const WINDOW = 0;
/** Counted in it, and in the one before. */
const CURRENT = 1;
const PREVIOUS = 2;
// The fourth number is the owner's.

/**
 * Two counters per slot. At the fraction f of an aligned window of W ms,
 *
 *     previous · (1 − f) + current
 *
 * estimates what the last W ms held, as if the previous window's calls had been spread evenly (Cloudflare, "How we
 * built rate limiting capable of scaling to millions of domains", 2017). They may all have come at its end, so the W ms
 * up to that moment may hold limit · (1 + f): less than twice the limit, 2 · limit − 1 calls of cost 1; an aligned
 * window holds no more than the limit.
 */
export class Counters {
  readonly #windowMs: number;
  readonly #cells: Float64Array;
  /** The latest time seen, in windows: a clock that steps back stands still. */
  #now = -Infinity;

  constructor(windowMs: number, cells: Float64Array) {
    this.#windowMs = windowMs;
    this.#cells = cells;
  }

  take(slot: number, now: number, cost: number, limit: number): boolean {
    const fraction = this.#advance(slot, now);
    const at = slot * STRIDE;
    const current = this.#cells[at + CURRENT] as number;
    if ((this.#cells[at + PREVIOUS] as number) * (1 - fraction) + current + cost > limit) return false;
    this.#cells[at + CURRENT] = current + cost;
    return true;
  }

  /** Brings the slot to the present window, and says how far that has got. */
  #advance(slot: number, now: number): number {
    const time = now / this.#windowMs;
    if (time > this.#now) this.#now = time;
    const window = Math.floor(this.#now);
    const cells = this.#cells;
    const at = slot * STRIDE;
    const passed = window - (cells[at + WINDOW] as number);
    if (passed !== 0) {
      cells[at + PREVIOUS] = passed === 1 ? (cells[at + CURRENT] as number) : 0;
      cells[at + CURRENT] = 0;
      cells[at + WINDOW] = window;
    }
    return this.#now - window;
  }

  /** Empties the slot for a new owner. */
  clear(slot: number): void {
    this.#cells.fill(0, slot * STRIDE, (slot + 1) * STRIDE);
  }

  refund(slot: number, at: number, cost: number): void {
    this.#advance(slot, at);
    const behind = Math.floor(this.#now) - Math.floor(at / this.#windowMs);
    if (behind > 1) return;
    const left = behind === 0 ? this.#takeFrom(slot, CURRENT, cost) : cost;
    this.#takeFrom(slot, PREVIOUS, left);
  }

  /** Returns what it could not take. */
  #takeFrom(slot: number, counter: number, cost: number): number {
    const at = slot * STRIDE + counter;
    const taken = Math.min(cost, this.#cells[at] as number);
    (this.#cells[at] as number) -= taken;
    return cost - taken;
  }

  waitMs(slot: number, now: number, cost: number, limit: number, held = now): number {
    if (cost > limit) return Infinity;
    const { window, fraction, previous, current } = this.#seenAt(slot, held);
    if (previous * (1 - fraction) + current + cost <= limit) return 0;
    // Either the previous window's share has to shrink, or this one has to become the previous one and then shrink.
    return current + cost <= limit
      ? this.#shrinkMs(now, window, current, previous, cost, limit)
      : this.#shrinkMs(now, window + 1, 0, current, cost, limit);
  }

  /** The slot at `now`. Changes nothing, as `#advance` would. */
  #seenAt(slot: number, now: number): { window: number; fraction: number; previous: number; current: number } {
    let time = this.#now;
    if (now / this.#windowMs > time) time = now / this.#windowMs;
    const window = Math.floor(time);
    const at = slot * STRIDE;
    const passed = window - (this.#cells[at + WINDOW] as number);
    const counted = this.#cells[at + CURRENT] as number;
    const previous = passed === 0 ? (this.#cells[at + PREVIOUS] as number) : passed === 1 ? counted : 0;
    return { window, fraction: time - window, previous, current: passed === 0 ? counted : 0 };
  }

  /** Until `previous · (1 − f) + current + cost` has come down to `limit` in `window`. */
  #shrinkMs(now: number, window: number, current: number, previous: number, cost: number, limit: number): number {
    const fits = (at: number): boolean => {
      const time = at / this.#windowMs;
      const fraction = Math.max(0, Math.min(1, time - window));
      return previous * (1 - fraction) + current + cost <= limit;
    };
    const fraction = 1 - Math.max(0, Math.min(1, (limit - cost - current) / previous));
    let at = (window + fraction) * this.#windowMs;
    // Rounding may leave it a few steps short.
    for (let stepMs = after(at) - at; !fits(at); stepMs *= 2) at += stepMs;
    return waitUntil(at, now);
  }

  read(slot: number, now: number, limit: number, held = now): Reading {
    const { fraction, previous, current } = this.#seenAt(slot, held);
    const left = previous * (1 - fraction);
    const used = left + current;
    const remaining = countUnits(limit - used, (units) => left + (current + units - 1) + 1 <= limit);
    return { used, remaining, resetMs: remaining < limit ? this.waitMs(slot, now, remaining + 1, limit, held) : 0 };
  }
}
