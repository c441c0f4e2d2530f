import { invalid, OptionReader } from '../../core/options/validate.js';
import { type Clock, systemClock, type TimerHandle, threadOffset } from '../../core/time/clock.js';
import { timerAt } from '../../core/time/timers.js';
import { attach, type Shape, WRITER } from './layout.js';
import type { SharedMemory } from './memory.js';
import { WriteSide } from './protocol.js';

/** Options of {@link ringWriter}. */
export interface RingWriterOptions {
  /** Sleeping readers are woken from so many unread messages on. Whole, 1 to the capacity. @default 1 */
  wakeThreshold?: number | undefined;
  /** At most so many readers are woken at a time. Whole, 1 to 32. @default 1 */
  wakeCount?: number | undefined;
  /** Fewer messages than `wakeThreshold` wake a reader too once they have waited this long, ms. > 0. @default 10 */
  flushMs?: number | undefined;
  /**
   * Takes the place of another writer. **Only when that one is proven dead** (its thread has exited): two that write at
   * the same time damage each other's messages. @default false
   */
  takeOver?: boolean | undefined;
  /** @default the host's monotonic clock */
  clock?: Clock | undefined;
}

/** What {@link RingWriter.stats} gives. Counts are of this writer. */
export interface RingWriterStats {
  /** Messages written. */
  written: number;
  /** Messages not written because the ring was full. */
  rejected: number;
  /** Readers woken. */
  wakes: number;
  /** Messages that no reader has claimed yet. */
  unread: number;
  /** How long ago the oldest of those was received, ms; 0 = there is none. */
  oldestAgeMs: number;
}

/** The one that writes to a ring. */
export interface RingWriter {
  /**
   * Writes one message. Never waits.
   *
   * @param receivedAt clock ms when the message reached this process; now, if left out
   * @returns false when the ring is full
   * @throws RangeError for a message longer than `slotBytes`; Error after `close` and when another writer has taken
   *   over
   */
  tryWrite(bytes: Uint8Array, receivedAt?: number): boolean;
  /**
   * Writes as many of `list`, from its beginning, as there is room for, at less than `tryWrite` one by one.
   *
   * @returns how many
   * @throws as `tryWrite` does; then nothing was written
   */
  writeBatch(list: ArrayLike<Uint8Array>, receivedAt?: number): number;
  /** Wakes readers now, however few messages there are. */
  flush(): void;
  stats(): RingWriterStats;
  /** Gives up the writer's place. What was written can still be read. */
  close(): void;
}

/** So many of a batch become visible at a time: readers begin while the rest is written. */
const PUBLISHED_AT_ONCE = 64;

class Writer implements RingWriter {
  readonly #side: WriteSide;
  readonly #memory: SharedMemory;
  readonly #shape: Shape;
  readonly #clock: Clock;
  readonly #offset: number;
  readonly #place: number;
  readonly #wakeThreshold: number;
  readonly #wakeCount: number;
  readonly #flushMs: number;
  #timer: TimerHandle;
  #armed = false;
  #closed = false;
  #written = 0;
  #rejected = 0;
  #wakes = 0;

  tryWrite(bytes: Uint8Array, receivedAt?: number): boolean {
    this.#open();
    this.#check(bytes, 'bytes');
    if (!this.#side.write(bytes, this.#timeOf(receivedAt))) {
      this.#rejected++;
      return false;
    }
    this.#written++;
    this.#afterwards();
    return true;
  }

  writeBatch(list: ArrayLike<Uint8Array>, receivedAt?: number): number {
    this.#open();
    const total = list.length;
    for (let i = 0; i < total; i++) this.#check(list[i] as Uint8Array, 'list', i);
    const time = this.#timeOf(receivedAt);
    let count = 0;
    while (count < total) {
      const upTo = Math.min(total, count + PUBLISHED_AT_ONCE);
      const written = this.#side.writeBatch(list, count, upTo, time);
      if (written > 0) this.#afterwards();
      count += written;
      if (count < upTo) break;
    }
    this.#written += count;
    this.#rejected += total - count;
    return count;
  }

  constructor(buffer: SharedArrayBuffer, options: RingWriterOptions | undefined) {
    const { shape, memory } = attach('ringWriter', buffer);
    const read = new OptionReader('ringWriter', options);
    this.#wakeThreshold = read.number('wakeThreshold', 1, { min: 1, max: shape.capacity, integer: true });
    this.#wakeCount = read.number('wakeCount', 1, { min: 1, max: 32, integer: true });
    this.#flushMs = read.number('flushMs', 10, { above: 0 });
    const takeOver = read.boolean('takeOver', false);
    this.#clock = read.object('clock', systemClock, ['now', 'setTimer', 'clearTimer']);
    read.done();
    this.#offset = threadOffset(this.#clock);
    this.#memory = memory;
    this.#shape = shape;
    this.#place = takePlace(memory, takeOver);
    this.#side = new WriteSide(memory, shape, this.#place);
    // The one before may have died between writing and waking.
    if (this.#side.unread() > 0) this.#arm();
  }

  flush(): void {
    this.#open();
    this.#wakes += this.#side.rouse(this.#wakeCount);
  }

  stats(): RingWriterStats {
    const unread = this.#side.unread();
    return {
      written: this.#written,
      rejected: this.#rejected,
      wakes: this.#wakes,
      unread,
      oldestAgeMs: unread > 0 ? this.#oldestAgeMs() : 0,
    };
  }

  /** Only this writer changes a slot, so what it reads of one is whole. */
  #oldestAgeMs(): number {
    const time = this.#memory.timeOf(this.#side.read & this.#shape.mask) - this.#offset;
    return Math.max(0, this.#clock.now() - time);
  }

  close(): void {
    if (this.#closed) return;
    // Those that sleep below the threshold.
    this.#wakes += this.#side.rouse(this.#wakeCount);
    this.#closed = true;
    this.#clock.clearTimer(this.#timer);
    this.#memory.cas(WRITER, this.#place, (this.#place + 1) | 0);
  }

  #open(): void {
    if (this.#closed) throw new Error('ringWriter: closed');
  }

  #check(bytes: Uint8Array, what: string, i?: number): void {
    if (bytes?.BYTES_PER_ELEMENT !== 1) invalid('ringWriter', nameOf(what, i), 'a Uint8Array', bytes, true);
    if (bytes.length > this.#shape.slotBytes) {
      invalid('ringWriter', `${nameOf(what, i)}.length`, `≤ slotBytes, ${this.#shape.slotBytes}`, bytes.length);
    }
  }

  #timeOf(receivedAt: number | undefined): number {
    const at = receivedAt === undefined ? this.#clock.now() : receivedAt;
    if (!Number.isFinite(at)) invalid('ringWriter', 'receivedAt', 'a finite number', at, typeof at !== 'number');
    return at + this.#offset;
  }

  #afterwards(): void {
    this.#wakes += this.#side.wakeIfDue(this.#wakeThreshold, this.#wakeCount);
    if (!this.#armed) this.#arm();
  }

  /**
   * While messages come a timer looks after them: for those below the threshold, and for readers that died on waking.
   */
  #arm(): void {
    this.#armed = true;
    this.#timer = timerAt(this.#clock, this.#onTimer, this.#clock.now() + this.#flushMs, false);
  }

  readonly #onTimer = (): void => {
    this.#armed = false;
    const woken = this.#side.rouse(this.#wakeCount);
    this.#wakes += woken;
    // No thread woken: none sleeps, and a reader looks before it goes to sleep.
    if (woken > 0) this.#arm();
  };
}

const nameOf = (what: string, i: number | undefined): string => (i === undefined ? what : `${what}[${i}]`);

/**
 * Odd = taken. Every change makes it larger: a writer that was taken for dead finds that it is not its place any more.
 */
function takePlace(memory: SharedMemory, takeOver: boolean): number {
  const now = memory.load(WRITER);
  const taken = (now & 1) === 1;
  if (taken && !takeOver) {
    throw new Error('ringWriter: this ring has a writer; when its thread has exited, attach with { takeOver: true }');
  }
  const place = (now + (taken ? 2 : 1)) | 0;
  if (!memory.cas(WRITER, now, place)) throw new Error('ringWriter: another writer has attached at the same time');
  return place;
}

/**
 * Attaches the writer of a ring.
 *
 * @throws TypeError or RangeError that names a bad option, or for a buffer that is no ring; Error when the ring has a
 *   writer
 */
export function ringWriter(buffer: SharedArrayBuffer, options?: RingWriterOptions): RingWriter {
  return new Writer(buffer, options);
}
