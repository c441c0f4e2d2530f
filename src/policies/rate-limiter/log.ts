import { Total } from './compensated-sum.js';
import { after, countUnits, type Meter, type Reading, waitUntil } from './meter.js';

/** A power of two, as the ring's length always is. */
const LEAST_ENTRIES = 16;

/**
 * The admissions of the window (t − W, t], oldest first, in a ring of typed arrays. Those that come within `spanMs` of
 * an entry's first one join it, and an entry goes out W after its last one:
 *
 * - `spanMs` = 0 is the exact log: an entry an instant, O(limit) memory;
 * - `spanMs` = W / B makes buckets that begin with a call instead of at fixed times, at most B + 1 of them. Nothing
 *   counts for less than W: never more than the limit in any window, whatever its phase. Nothing counts for more than W
 *   + W / B: a constant load gets at least B / (B + 1) of the limit.
 */
export class AdmissionLog implements Meter {
  readonly #windowMs: number;
  readonly #spanMs: number;
  /** The latest admission of each entry. */
  #times = new Float64Array(LEAST_ENTRIES);
  #costs = new Float64Array(LEAST_ENTRIES);
  #oldest = 0;
  #size = 0;
  /** The first admission of the newest entry. */
  #firstAt = -Infinity;
  readonly #used = new Total();
  /** The latest time seen: a clock that steps back stands still. */
  #now = -Infinity;

  constructor(windowMs: number, spanMs: number) {
    this.#windowMs = windowMs;
    this.#spanMs = spanMs;
  }

  take(now: number, cost: number, limit: number): boolean {
    this.#advance(now);
    if (this.#used.plus(cost) > limit) return false;
    this.#used.add(cost);
    this.#append(cost);
    return true;
  }

  #advance(now: number): void {
    if (now > this.#now) this.#now = now;
    if (this.#size > 0 && this.#isGone(this.#times[this.#oldest] as number, this.#now)) this.#expire();
  }

  /** Whether `now` − `time` ≥ W, by whichever sum rounds against it. */
  #isGone(time: number, now: number): boolean {
    return time <= now - this.#windowMs && now - time >= this.#windowMs;
  }

  #expire(): void {
    if (this.#isGone(this.#time(this.#size - 1), this.#now)) {
      this.#size = 0;
      this.#firstAt = -Infinity;
      this.#used.clear();
      return;
    }
    while (this.#isGone(this.#time(0), this.#now)) {
      this.#used.add(-this.#cost(0));
      this.#oldest = this.#place(1);
      this.#size--;
    }
  }

  #append(cost: number): void {
    const now = this.#now;
    if (now - this.#firstAt <= this.#spanMs) {
      const newest = this.#place(this.#size - 1);
      this.#times[newest] = now;
      (this.#costs[newest] as number) += cost;
      return;
    }
    if (this.#size === this.#times.length) this.#makeRoom();
    const place = this.#place(this.#size++);
    this.#times[place] = now;
    this.#costs[place] = cost;
    this.#firstAt = now;
  }

  /** Where the entry is that comes `nth` after the oldest. */
  #place(nth: number): number {
    return (this.#oldest + nth) & (this.#times.length - 1);
  }

  #time(nth: number): number {
    return this.#times[this.#place(nth)] as number;
  }

  #cost(nth: number): number {
    return this.#costs[this.#place(nth)] as number;
  }

  /** Closes the gaps that refunded calls have left, and doubles the ring where that does not make half of it free. */
  #makeRoom(): void {
    let kept = 0;
    for (let nth = 0; nth < this.#size; nth++) {
      if (this.#cost(nth) === 0) continue;
      this.#times[this.#place(kept)] = this.#time(nth);
      this.#costs[this.#place(kept)] = this.#cost(nth);
      kept++;
    }
    this.#size = kept;
    const { length } = this.#times;
    if (kept <= length / 2) return;
    const times = new Float64Array(2 * length);
    const costs = new Float64Array(2 * length);
    for (let nth = 0; nth < kept; nth++) {
      times[nth] = this.#time(nth);
      costs[nth] = this.#cost(nth);
    }
    this.#times = times;
    this.#costs = costs;
    this.#oldest = 0;
  }

  /**
   * Takes from the first entry that may hold a call of `at`. Where the clock has stepped back that can be one before
   * the call's own, never one behind it, so nothing stops counting earlier than it should.
   */
  refund(at: number, cost: number): void {
    this.#advance(at);
    if (this.#isGone(at, this.#now)) return;
    const first = this.#firstFrom(at);
    let rest = cost;
    // Round to the oldest: where nothing was counted at `at` or later, a caller has not told the time.
    for (let i = 0; rest > 0 && i < this.#size; i++) rest -= this.#takeFrom((first + i) % this.#size, rest);
  }

  #takeFrom(nth: number, cost: number): number {
    const taken = Math.min(cost, this.#cost(nth));
    (this.#costs[this.#place(nth)] as number) -= taken;
    this.#used.add(-taken);
    return taken;
  }

  /** The first entry that ends at `at` or later, by binary search. */
  #firstFrom(at: number): number {
    let low = 0;
    let high = this.#size;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#time(middle) < at) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  waitMs(now: number, cost: number, limit: number, _key?: string, held = now): number {
    if (cost > limit) return Infinity;
    const [used, first] = this.#usedAt(held);
    if (used.plus(cost) <= limit) return 0;
    let nth = first;
    // With the last one all is gone, and there is room.
    for (; nth < this.#size - 1; nth++) {
      used.add(-this.#cost(nth));
      if (used.plus(cost) <= limit) break;
    }
    return waitUntil(this.#goneAt(this.#time(nth)), now);
  }

  /** What is counted at `now`, and the first entry that still is. Changes nothing, as `#advance` would. */
  #usedAt(now: number): [used: Total, first: number] {
    let at = this.#now;
    if (now > at) at = now;
    const size = this.#size;
    if (size > 0 && this.#isGone(this.#time(size - 1), at)) return [new Total(), size];
    const used = this.#used.copy();
    let first = 0;
    while (first < size && this.#isGone(this.#time(first), at)) used.add(-this.#cost(first++));
    return [used, first];
  }

  /** The first number that is a time at which an admission at `time` is gone; `time` + W may be a few off. */
  #goneAt(time: number): number {
    const sum = time + this.#windowMs;
    let there = sum - Math.max(Math.abs(sum), this.#windowMs) * 2 ** -50;
    let gone = after(sum);
    for (let middle = sum; there < middle && middle < gone; middle = there + (gone - there) / 2) {
      if (this.#isGone(time, middle)) gone = middle;
      else there = middle;
    }
    return gone;
  }

  read(now: number, limit: number, key?: string, held = now): Reading {
    const [total] = this.#usedAt(held);
    const used = Math.max(0, total.plus(0));
    const remaining = countUnits(limit - used, (units) => total.plus(units) <= limit);
    return { used, remaining, resetMs: remaining < limit ? this.waitMs(now, remaining + 1, limit, key, held) : 0 };
  }
}
