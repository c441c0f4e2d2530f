import { SLOT_HEADER, strideOf } from './memory.js';

/** At most so many messages are claimed at once: what a reader can lose by dying. */
const MAX_MESSAGES = 32;
const MAX_BYTES = 65_536;

/** Slots in a reader's own memory: copied there, then claimed, then handed out one by one. */
export class Batch {
  readonly bytes: Uint8Array;
  /** How many slots fit. */
  readonly size: number;
  readonly #words: Int32Array;
  readonly #times: Float64Array;
  readonly #stride: number;
  /** By slot, the view of the message before: messages tend to be of one length, and making a view costs 30 ns. */
  readonly #views: Uint8Array[];
  /** The messages from `next` to `end` are claimed and not handed out yet. */
  next = 0;
  end = 0;

  constructor(capacity: number, slotBytes: number) {
    this.#stride = strideOf(slotBytes);
    this.size = Math.max(1, Math.min(MAX_MESSAGES, capacity, Math.floor(MAX_BYTES / this.#stride)));
    const buffer = new ArrayBuffer(this.size * this.#stride);
    this.bytes = new Uint8Array(buffer);
    this.#words = new Int32Array(buffer);
    this.#times = new Float64Array(buffer);
    this.#views = Array.from({ length: this.size }, () => new Uint8Array(buffer, 0, 0));
  }

  timeOf(i: number): number {
    return this.#times[(i * this.#stride + 8) >> 3] as number;
  }

  view(i: number): Uint8Array {
    const length = this.#words[(i * this.#stride) >> 2] as number;
    let view = this.#views[i] as Uint8Array;
    if (view.length !== length) {
      view = new Uint8Array(this.bytes.buffer, i * this.#stride + SLOT_HEADER, length);
      this.#views[i] = view;
    }
    return view;
  }
}
