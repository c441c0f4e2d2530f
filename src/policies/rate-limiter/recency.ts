/** Slots whose marks are counted together, so that a search can pass over them; a multiple of 32. */
const BLOCK = 1_024;

/**
 * Which of a table's slots have been used lately. An epoch ends when `epoch` different slots have been used in it; a
 * slot used in this epoch or in the last one is protected, so at least `epoch` others have to be used before it no
 * longer is. Two marks per slot; nothing is ever swept at once.
 */
export class Recency {
  readonly #slots: number;
  readonly #epoch: number;
  /** Bit by slot: used in this epoch. */
  #used: Int32Array;
  /** Used in this epoch or the last. */
  #protected: Int32Array;
  /** The next epoch's `#used`, which is being emptied a word at a time. */
  #next: Int32Array;
  #emptied: number;
  /** How many bits are set in each block of `#used` and of `#protected`. */
  #usedIn: Uint16Array;
  #protectedIn: Uint16Array;
  /** Slots used in this epoch. */
  #count = 0;
  /** Where the latest search ended. */
  #block = 0;

  constructor(slots: number, epoch: number) {
    this.#slots = slots;
    this.#epoch = epoch;
    const words = Math.ceil(slots / 32);
    const blocks = Math.ceil(slots / BLOCK);
    this.#used = new Int32Array(words);
    this.#protected = new Int32Array(words);
    this.#next = new Int32Array(words);
    this.#emptied = words;
    this.#usedIn = new Uint16Array(blocks);
    this.#protectedIn = new Uint16Array(blocks);
  }

  /** Notes that `slot` is used now. */
  use(slot: number): void {
    if (((this.#used[slot >>> 5] as number) & (1 << (slot & 31))) === 0) this.#useFirst(slot);
  }

  #useFirst(slot: number): void {
    if (this.#count >= this.#epoch) this.#beginEpoch();
    const word = slot >>> 5;
    const bit = 1 << (slot & 31);
    const block = Math.floor(slot / BLOCK);
    (this.#used[word] as number) |= bit;
    (this.#usedIn[block] as number) += 1;
    if (((this.#protected[word] as number) & bit) === 0) {
      (this.#protected[word] as number) |= bit;
      (this.#protectedIn[block] as number) += 1;
    }
    this.#count++;
    if (this.#emptied < this.#next.length) this.#next[this.#emptied++] = 0;
  }

  #beginEpoch(): void {
    const last = this.#used;
    this.#used = this.#next;
    this.#next = this.#protected;
    this.#protected = last;
    this.#emptied = 0;
    const lastIn = this.#usedIn;
    this.#usedIn = this.#protectedIn.fill(0);
    this.#protectedIn = lastIn;
    this.#count = 0;
  }

  /** A slot that the next use of another one may replace. `epoch` is at most half the slots, so there is one. */
  unprotected(): number {
    // One slot, which nothing can protect.
    if (this.#epoch === 0) return 0;
    if (this.#count >= this.#epoch) this.#beginEpoch();
    const blocks = this.#protectedIn.length;
    while ((this.#protectedIn[this.#block] as number) >= this.#sizeOf(this.#block)) {
      this.#block = (this.#block + 1) % blocks;
    }
    return this.#firstIn(this.#block * BLOCK);
  }

  /** The last block may be shorter. */
  #sizeOf(block: number): number {
    return Math.min(BLOCK, this.#slots - block * BLOCK);
  }

  #firstIn(from: number): number {
    let word = from / 32;
    while (this.#protected[word] === -1) word++;
    const free = ~(this.#protected[word] as number);
    return word * 32 + 31 - Math.clz32(free & -free);
  }
}
