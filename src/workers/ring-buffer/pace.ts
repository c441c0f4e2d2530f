import { systemClock } from '../../core/time/clock.js';
import { WRITE } from './layout.js';
import type { Memory } from './memory.js';

/**
 * So often a reader looks before it sleeps, depending on whether that helped the last time: when messages come every
 * µs, each sleep would cost the writer a wake of 10 µs; when they come every 100 µs, looking is all in vain.
 */
const MIN_SPINS = 50;
const MAX_SPINS = 2_000;
/** Steps of a pause, of 1 ns or so each, and the claim that is large enough to do without. */
const MAX_PAUSE = 1_000;
const LARGE_CLAIM = 16;
/** Sleeps that follow one another faster than this are hasty, ms. */
const HASTY_MS = 0.2;
/** Asked of the host, ms; Linux makes about 0.06 of it. */
const NAP_MS = 0.01;
/** A nap was worth it when so many messages were written meanwhile, each of which might have been a wake. */
const WORTH = 16;
/** So many hasty sleeps before the next nap, if none was worth it. */
const MIN_HASTY = 4;
const MAX_HASTY = 256;

/**
 * What a thread does before it sleeps in the ring. On a busy machine reader and writer share a core: the reader wakes
 * for one message, reads it, sleeps, and the writer pays for the next wake. A nap that no thread ends lets messages
 * gather. Where one waits for an answer to each message none gather, and naps become rare.
 */
export class Pace {
  #spins = MIN_SPINS;
  #pause = 0;
  /** Or the pause would be optimised away. */
  #idle = 0;
  #hasty = 0;
  #wanted = MIN_HASTY;
  #sleptAt = -Infinity;
  readonly #bed = new Int32Array(new SharedArrayBuffer(4));

  constructor(private readonly memory: Memory) {}

  /**
   * Between a claim of so many messages and the next: a reader on the heels of the writer makes it fetch the line of
   * the write index for each message.
   *
   * @returns the steps of its pause
   */
  gather(claimed: number): number {
    if (claimed < LARGE_CLAIM) this.#pause = Math.min(MAX_PAUSE, 2 * this.#pause + 16);
    for (let i = 0; i < this.#pause; i++) this.#idle = (this.#idle + i) | 0;
    return this.#pause;
  }

  /** Nothing came during the pause: the next one is short again. */
  isEmpty(): void {
    this.#pause = 0;
  }

  /** Whether `hasUnread` came true. */
  spin(hasUnread: () => boolean): boolean {
    for (let i = 0; i < this.#spins; i++) {
      if (!hasUnread()) continue;
      if (i > 0) this.#spins = Math.min(MAX_SPINS, 2 * this.#spins);
      return true;
    }
    this.#spins = Math.max(MIN_SPINS, this.#spins >> 1);
    return false;
  }

  /** To be called before each sleep, at `nowMs`. */
  wantsNap(nowMs: number): boolean {
    this.#hasty = nowMs - this.#sleptAt < HASTY_MS ? this.#hasty + 1 : 0;
    this.#sleptAt = nowMs;
    return this.#hasty >= this.#wanted;
  }

  nap(): void {
    const before = this.memory.load(WRITE);
    Atomics.wait(this.#bed, 0, 0, NAP_MS);
    this.rested((this.memory.load(WRITE) - before) | 0);
    this.#sleptAt = systemClock.now();
  }

  /** After a nap in which so many messages were written. */
  rested(written: number): void {
    this.#wanted = written >= WORTH ? MIN_HASTY : Math.min(MAX_HASTY, 2 * this.#wanted);
    this.#hasty = written >= WORTH ? MIN_HASTY : 0;
  }
}
