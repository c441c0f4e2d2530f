import { Fingerprint } from './fingerprint.js';
import type { Meter, Reading } from './meter.js';
import { Recency } from './recency.js';
import { Counters, STRIDE } from './two-counter-table.js';

/** Places of the index a key, 4 bytes each: on average it takes two looks to find a key, five to miss one. */
const PLACES = 1.5;
/** An entry of the index: the slot in the low 24 bits, the top byte of the fingerprint's `low` above it. */
const SLOT_BITS = 24;
const SLOT = 2 ** SLOT_BITS - 1;
/** Where a slot keeps its fingerprint, in 32-bit words. */
const WORDS = 2 * STRIDE;
const HIGH = 6;
const LOW = 7;
/** The slot of the calls that have no key; it is in no index and never evicted. */
const KEYLESS = 0;

/**
 * Two counters per key, for at most `maxKeys` of them, in 38.5 bytes each, all taken at the start. Instead of the keys
 * it keeps their fingerprints; two keys with the same one would share their counters: the chance that any two of n keys
 * do is n² / 2^65, for a million 3 · 10^-8. A new key takes the place of one that {@link Recency} does not protect, and
 * only if the table is full.
 */
export class KeyTable implements Meter {
  readonly #maxKeys: number;
  readonly #cells: Counters;
  /** The slots' memory as words. */
  readonly #words: Int32Array;
  /** Open addressing with linear probing; 0 = empty. */
  readonly #index: Int32Array;
  readonly #fingerprint: Fingerprint;
  readonly #recency: Recency;
  /** How many slots have a key, from slot 1 on. */
  size = 0;

  constructor(windowMs: number, maxKeys: number, seed: Uint32Array) {
    const memory = new Float64Array((maxKeys + 1) * STRIDE);
    this.#maxKeys = maxKeys;
    this.#cells = new Counters(windowMs, memory);
    this.#words = new Int32Array(memory.buffer);
    this.#index = new Int32Array(Math.ceil(maxKeys * PLACES) + 1);
    this.#fingerprint = new Fingerprint(seed);
    this.#recency = new Recency(maxKeys, Math.floor(maxKeys / 2));
  }

  take(now: number, cost: number, limit: number, key: string | undefined): boolean {
    // Never admitted, so it must not cost another key its place.
    if (cost > limit) return false;
    return this.#cells.take(this.#use(key), now, cost, limit);
  }

  #use(key: string | undefined): number {
    let slot = this.#find(key);
    if (slot === KEYLESS) return slot;
    if (slot < 0) slot = this.#insert(this.#fingerprint.of(key as string), this.#fingerprint.low);
    this.#recency.use(slot - 1);
    return slot;
  }

  /** The slot of `key`; −1 = it has none. */
  #find(key: string | undefined): number {
    if (key === undefined) return KEYLESS;
    if (typeof key !== 'string') throw new TypeError(`keyedRateLimiter: key must be a string, got ${typeof key}`);
    const high = this.#fingerprint.of(key);
    const { low } = this.#fingerprint;
    const index = this.#index;
    const words = this.#words;
    let place = this.#home(high);
    for (let entry = index[place] as number; entry !== 0; entry = index[place] as number) {
      if ((entry ^ low) >>> SLOT_BITS === 0) {
        const slot = entry & SLOT;
        if (words[slot * WORDS + HIGH] === high && words[slot * WORDS + LOW] === low) return slot;
      }
      place = this.#next(place);
    }
    return -1;
  }

  /** Where the search for a fingerprint begins. */
  #home(high: number): number {
    return Math.floor((high >>> 0) * 2 ** -32 * this.#index.length);
  }

  #next(place: number): number {
    return place + 1 === this.#index.length ? 0 : place + 1;
  }

  #insert(high: number, low: number): number {
    const slot = this.size < this.#maxKeys ? ++this.size : this.#evict();
    this.#words[slot * WORDS + HIGH] = high;
    this.#words[slot * WORDS + LOW] = low;
    let place = this.#home(high);
    while (this.#index[place] !== 0) place = this.#next(place);
    this.#index[place] = (low & ~SLOT) | slot;
    return slot;
  }

  #evict(): number {
    const slot = this.#recency.unprotected() + 1;
    let place = this.#home(this.#words[slot * WORDS + HIGH] as number);
    while (((this.#index[place] as number) & SLOT) !== slot) place = this.#next(place);
    this.#close(place);
    this.#cells.clear(slot);
    return slot;
  }

  /** Empties a place, and moves up what was put behind it for want of room: Knuth's algorithm 6.4R. */
  #close(place: number): void {
    const index = this.#index;
    let hole = place;
    for (let at = this.#next(hole); index[at] !== 0; at = this.#next(at)) {
      const entry = index[at] as number;
      const home = this.#home(this.#words[(entry & SLOT) * WORDS + HIGH] as number);
      // It may not move to a place before its home, which is so if that lies behind the hole; both may have wrapped
      // round.
      if (hole <= at ? hole < home && home <= at : hole < home || home <= at) continue;
      index[hole] = entry;
      hole = at;
    }
    index[hole] = 0;
  }

  refund(at: number, cost: number, key: string | undefined): void {
    const slot = this.#find(key);
    if (slot >= 0) this.#cells.refund(slot, at, cost);
  }

  waitMs(now: number, cost: number, limit: number, key: string | undefined, held = now): number {
    if (cost > limit) return Infinity;
    const slot = this.#find(key);
    return slot < 0 ? 0 : this.#cells.waitMs(slot, now, cost, limit, held);
  }

  read(now: number, limit: number, key: string | undefined, held = now): Reading {
    const slot = this.#find(key);
    return slot < 0 ? { used: 0, remaining: limit, resetMs: 0 } : this.#cells.read(slot, now, limit, held);
  }
}
