/**
 * What the protocol does to the shared memory, one step each. A test puts another memory in its place, which can stop
 * before any step: so the code that is searched for bad interleavings is the code that ships.
 */
export interface Memory {
  load(word: number): number;
  /** A recent value of a word: no memory order, and cheaper. */
  peek(word: number): number;
  /** Whether `word` was `expected` and is `value` now. */
  cas(word: number, expected: number, value: number): boolean;
  set(word: number, bit: number): void;
  /** Takes a bit back; whether it was set. */
  clear(word: number, bit: number): boolean;
  add(word: number, by: number): void;
  /** Sleeps while `word` is `expected`, until notified or `timeoutMs` have passed. */
  wait(word: number, expected: number, timeoutMs: number): 'ok' | 'not-equal' | 'timed-out';
  /** Wakes all that wait on `word`, and tells how many those were: the host's list of waiters has no dead ones. */
  notify(word: number): number;

  // Slots are read and written plainly: what is read of one is worth nothing until its message is claimed.
  put(slot: number, bytes: Uint8Array, time: number): void;
  lengthOf(slot: number): number;
  timeOf(slot: number): number;
  copy(slot: number, length: number, into: Uint8Array): void;
  copyBatch(slot: number, count: number, into: Uint8Array): void;
}

/** `[length, –, time, time]` before the payload, in bytes. */
export const SLOT_HEADER = 16;

/** A slot's bytes: times are at multiples of 8. */
export const strideOf = (slotBytes: number): number => SLOT_HEADER + Math.ceil(slotBytes / 8) * 8;

/** The real one. */
export class SharedMemory implements Memory {
  readonly words: Int32Array;
  readonly #bytes: Uint8Array;
  readonly #times: Float64Array;
  readonly #slots: number;
  readonly #stride: number;

  /** `slots`: where they begin, in bytes. */
  constructor(buffer: SharedArrayBuffer, slots: number, slotBytes: number) {
    this.words = new Int32Array(buffer);
    this.#bytes = new Uint8Array(buffer);
    this.#times = new Float64Array(buffer);
    this.#slots = slots;
    this.#stride = strideOf(slotBytes);
  }

  load(word: number): number {
    return Atomics.load(this.words, word);
  }

  peek(word: number): number {
    return this.words[word] as number;
  }

  cas(word: number, expected: number, value: number): boolean {
    return Atomics.compareExchange(this.words, word, expected, value) === expected;
  }

  set(word: number, bit: number): void {
    Atomics.or(this.words, word, bit);
  }

  clear(word: number, bit: number): boolean {
    return (Atomics.and(this.words, word, ~bit) & bit) !== 0;
  }

  add(word: number, by: number): void {
    Atomics.add(this.words, word, by);
  }

  wait(word: number, expected: number, timeoutMs: number): 'ok' | 'not-equal' | 'timed-out' {
    return Atomics.wait(this.words, word, expected, timeoutMs);
  }

  notify(word: number): number {
    return Atomics.notify(this.words, word);
  }

  put(slot: number, bytes: Uint8Array, time: number): void {
    const at = this.#slots + slot * this.#stride;
    this.words[at >> 2] = bytes.length;
    this.#times[(at + 8) >> 3] = time;
    this.#bytes.set(bytes, at + SLOT_HEADER);
  }

  lengthOf(slot: number): number {
    return this.words[(this.#slots + slot * this.#stride) >> 2] as number;
  }

  timeOf(slot: number): number {
    return this.#times[(this.#slots + slot * this.#stride + 8) >> 3] as number;
  }

  copy(slot: number, length: number, into: Uint8Array): void {
    const from = this.#slots + slot * this.#stride + SLOT_HEADER;
    into.set(this.#bytes.subarray(from, from + length));
  }

  copyBatch(slot: number, count: number, into: Uint8Array): void {
    const from = this.#slots + slot * this.#stride;
    // One copy of all is cheaper than one each, unless the messages are much shorter than their slots.
    if (this.lengthOf(slot) * 4 > this.#stride || this.#stride <= 256) {
      into.set(this.#bytes.subarray(from, from + count * this.#stride));
      return;
    }
    for (let i = 0; i < count; i++) {
      const start = i * this.#stride;
      const end = start + SLOT_HEADER + this.lengthOf(slot + i);
      into.set(this.#bytes.subarray(from + start, from + end), start);
    }
  }
}
