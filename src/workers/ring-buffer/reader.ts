import { checkNumber, invalid, OptionReader } from '../../core/options/validate.js';
import { type Clock, systemClock, threadOffset } from '../../core/time/clock.js';
import { hostTurn } from '../../core/time/turns.js';
import { Batch } from './batch.js';
import { attach, placeOf, type Shape } from './layout.js';
import type { SharedMemory } from './memory.js';
import { Pace } from './pace.js';
import { EMPTY, ReadSide } from './protocol.js';
import { Waiting } from './waiting.js';

/** Options of {@link ringReader}. */
export interface RingReaderOptions {
  /** Messages received longer ago than this, ms, are dropped and counted instead of read. > 0. @default Infinity */
  maxAgeMs?: number | undefined;
  /**
   * Which of the ring's places for readers to take: whole, 0 to `maxReaders` − 1, or the first that is free.
   * @default 'any'
   */
  id?: number | 'any' | undefined;
  /**
   * Takes the place `id` from another reader. **Only when that one is proven dead** (its thread has exited).
   * @default false
   */
  takeOver?: boolean | undefined;
  /** @default the host's monotonic clock */
  clock?: Clock | undefined;
}

/** What {@link RingReader.stats} gives. Counts are of this reader. */
export interface RingReaderStats {
  /** Messages handed out. */
  read: number;
  /** Messages dropped because they were older than `maxAgeMs`. */
  tooOld: number;
  /** Messages claimed in a batch whose callback threw, that are not handed out yet. */
  held: number;
  /** Copies thrown away because another reader was faster. */
  lostClaims: number;
}

/** One of those that read from a ring; each message goes to exactly one of them. */
export interface RingReader extends AsyncIterable<Uint8Array> {
  /** Its place among the ring's readers. */
  readonly id: number;
  /** When the last message was received, ms of this reader's own clock: `clock.now() - receivedAt` is its age. */
  readonly receivedAt: number;
  /**
   * Reads one message. What is in `into` behind it, or when there is none, means nothing.
   *
   * @returns the message's bytes, or −1 = there is none
   * @throws RangeError when it does not fit; it can still be read. Error after `close`
   */
  tryRead(into: Uint8Array): number;
  /**
   * Hands up to `max` messages to `fn`, at less than `tryRead` one by one. They are claimed up to 32 at a time; when
   * `fn` throws, those behind are kept for the next read.
   *
   * @param fn `view` is only valid until it returns; `receivedAt` as above
   * @param max whole, ≥ 1; the ring's capacity, if left out
   * @returns how many were handed out
   * @throws what `fn` throws; Error after `close`, and from within `fn`
   */
  readBatch(fn: (view: Uint8Array, receivedAt: number) => void, max?: number): number;
  /**
   * Blocks the thread until there is something to read, or for `timeoutMs` (Infinity, if left out). Another reader may
   * be faster all the same.
   *
   * @returns whether there is something to read
   * @throws TypeError where the host forbids it: a page's main thread
   */
  waitSync(timeoutMs?: number): boolean;
  /**
   * As `waitSync`, without blocking; keeps the event loop alive as long as it waits. False also when the reader is
   * closed.
   *
   * @throws the reason of `signal` once that aborts; Error when another reader takes its place
   */
  wait(timeoutMs?: number, signal?: AbortSignal): Promise<boolean>;
  /** Reads and waits, until the loop is left or the reader closed. Each message is a copy. */
  [Symbol.asyncIterator](): AsyncIterableIterator<Uint8Array>;
  stats(): RingReaderStats;
  /** Gives up its place: ends waits and loops. Call it before a thread ends of its own will. */
  close(): void;
}

/**
 * The host gets a turn after so many messages of an async loop, which would keep it from all else while there are any.
 */
const TURN_EVERY = 256;

/** A wait shorter than this is too short for a nap, ms. */
const MIN_WAIT_MS = 1;

class Reader implements RingReader {
  readonly id: number;
  readonly #side: ReadSide;
  readonly #memory: SharedMemory;
  readonly #shape: Shape;
  readonly #batch: Batch;
  readonly #waiting: Waiting;
  readonly #pace: Pace;
  readonly #clock: Clock;
  readonly #offset: number;
  readonly #maxAgeMs: number;
  readonly #place: number;
  #receivedAt = 0;
  #handing = false;
  #closed = false;
  #read = 0;
  #tooOld = 0;

  get receivedAt(): number {
    return this.#receivedAt;
  }

  tryRead(into: Uint8Array): number {
    this.#open();
    if (into?.BYTES_PER_ELEMENT !== 1) invalid('ringReader', 'into', 'a Uint8Array', into, true);
    for (;;) {
      const length = this.#batch.next < this.#batch.end ? this.#takeHeld(into) : this.#side.read(into);
      if (length === EMPTY) return EMPTY;
      if (!this.#isFresh(this.#side.time)) continue;
      this.#read++;
      return length;
    }
  }

  readBatch(fn: (view: Uint8Array, receivedAt: number) => void, max: number = this.#shape.capacity): number {
    this.#open();
    if (this.#handing) throw new Error('ringReader: readBatch must not be called from its own callback');
    checkNumber('ringReader', 'max', max, { min: 1, infinite: true, integer: max !== Infinity });
    let count = 0;
    let claimed = 0;
    this.#handing = true;
    try {
      while (count < max && !this.#closed) {
        if (this.#batch.next === this.#batch.end) {
          if (count > 0) this.#pace.gather(claimed);
          claimed = this.#side.readBatch(this.#batch, max - count);
          if (claimed === 0) {
            this.#pace.isEmpty();
            break;
          }
        }
        count += this.#handOut(fn, max - count);
      }
    } finally {
      this.#handing = false;
    }
    return count;
  }

  #handOut(fn: (view: Uint8Array, receivedAt: number) => void, max: number): number {
    const batch = this.#batch;
    let count = 0;
    while (batch.next < batch.end && count < max) {
      const i = batch.next++;
      if (!this.#isFresh(batch.timeOf(i))) continue;
      this.#read++;
      count++;
      fn(batch.view(i), this.#receivedAt);
    }
    return count;
  }

  #isFresh(time: number): boolean {
    this.#receivedAt = time - this.#offset;
    if (this.#maxAgeMs === Infinity || !(this.#clock.now() - this.#receivedAt > this.#maxAgeMs)) return true;
    this.#tooOld++;
    return false;
  }

  #takeHeld(into: Uint8Array): number {
    const view = this.#batch.view(this.#batch.next);
    if (view.length > into.length) {
      throw new RangeError(`ringReader: the message has ${view.length} bytes, into has room for ${into.length}`);
    }
    into.set(view);
    this.#side.time = this.#batch.timeOf(this.#batch.next++);
    return view.length;
  }

  constructor(buffer: SharedArrayBuffer, options: RingReaderOptions | undefined) {
    const { shape, memory } = attach('ringReader', buffer);
    const read = new OptionReader('ringReader', options);
    this.#maxAgeMs = read.number('maxAgeMs', Infinity, { above: 0, infinite: true });
    const id = read.numberOr('id', 'any', { min: 0, below: shape.maxReaders, integer: true }, 'any');
    const takeOver = read.boolean('takeOver', false);
    this.#clock = read.object('clock', systemClock, ['now', 'setTimer', 'clearTimer']);
    read.done();
    if (takeOver && id === 'any') invalid('ringReader', 'takeOver', 'given with the id of the dead reader', takeOver);
    this.#offset = threadOffset(this.#clock);
    this.#memory = memory;
    this.#shape = shape;
    [this.id, this.#place] = takePlace(memory, shape.maxReaders, id, takeOver);
    this.#side = new ReadSide(memory, shape, this.id, this.#place);
    this.#batch = new Batch(shape.capacity, shape.slotBytes);
    this.#waiting = new Waiting(memory, this.#side, this.#clock);
    this.#pace = new Pace(memory);
  }

  waitSync(timeoutMs = Infinity): boolean {
    this.#open();
    checkNumber('ringReader', 'timeoutMs', timeoutMs, { min: 0, infinite: true });
    // The thread sleeps in the host's time, whatever the reader's clock.
    const end = systemClock.now() + timeoutMs;
    if (timeoutMs > 0 && this.#pace.spin(this.#isThere)) return true;
    try {
      for (let leftMs = timeoutMs; ; leftMs = Math.max(0, end - systemClock.now())) {
        if (this.#hasUnread()) return true;
        if (leftMs >= MIN_WAIT_MS && this.#pace.wantsNap(systemClock.now())) this.#pace.nap();
        if (this.#side.sleep(leftMs)) return true;
        if (leftMs === 0) return false;
      }
    } finally {
      this.#waiting.renew();
    }
  }

  async wait(timeoutMs = Infinity, signal?: AbortSignal): Promise<boolean> {
    this.#open();
    checkNumber('ringReader', 'timeoutMs', timeoutMs, { min: 0, infinite: true });
    signal?.throwIfAborted();
    return this.#hasUnread() || this.#waiting.wait(timeoutMs, signal);
  }

  readonly #isThere = (): boolean => this.#hasUnread();

  #hasUnread(): boolean {
    return this.#batch.next < this.#batch.end || this.#side.hasUnread();
  }

  [Symbol.asyncIterator](): AsyncIterableIterator<Uint8Array> {
    const into = new Uint8Array(this.#shape.slotBytes);
    const left = new AbortController();
    let untilTurn = TURN_EVERY;
    const next = async (): Promise<IteratorResult<Uint8Array>> => {
      while (!left.signal.aborted && !this.#closed) {
        const length = this.tryRead(into);
        if (length !== EMPTY) {
          const value = into.slice(0, length);
          if (--untilTurn === 0) {
            untilTurn = TURN_EVERY;
            await hostTurn();
          }
          return { done: false, value };
        }
        try {
          await this.#waiting.wait(Infinity, left.signal);
        } catch (error) {
          if (!left.signal.aborted) throw error;
        }
      }
      return { done: true, value: undefined };
    };
    return {
      next,
      return: async () => {
        left.abort();
        return { done: true, value: undefined };
      },
      [Symbol.asyncIterator]() {
        return this;
      },
    };
  }

  stats(): RingReaderStats {
    return {
      read: this.#read,
      tooOld: this.#tooOld,
      held: this.#batch.end - this.#batch.next,
      lostClaims: this.#side.lost,
    };
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    // The place last: until then no other thread sets the bit, which this clears.
    this.#waiting.close();
    this.#memory.cas(placeOf(this.id), this.#place, (this.#place + 1) | 0);
  }

  #open(): void {
    if (this.#closed) throw new Error('ringReader: closed');
  }
}

/** Odd = taken, and each change makes it larger, as the writer's. */
function takePlace(memory: SharedMemory, maxReaders: number, id: number | 'any', takeOver: boolean): [number, number] {
  for (let i = id === 'any' ? 0 : id; i < (id === 'any' ? maxReaders : id + 1); i++) {
    const now = memory.load(placeOf(i));
    const taken = (now & 1) === 1;
    if (taken && !takeOver) continue;
    const place = (now + (taken ? 2 : 1)) | 0;
    if (memory.cas(placeOf(i), now, place)) return [i, place];
  }
  const which = id === 'any' ? `all ${maxReaders} places for readers are taken` : `place ${id} is taken`;
  throw new Error(
    `ringReader: ${which}; the place of a reader whose thread has exited is had by { id, takeOver: true }`,
  );
}

/**
 * Attaches a reader to a ring.
 *
 * @throws TypeError or RangeError that names a bad option, or for a buffer that is no ring; Error when no place is free
 */
export function ringReader(buffer: SharedArrayBuffer, options?: RingReaderOptions): RingReader {
  return new Reader(buffer, options);
}
