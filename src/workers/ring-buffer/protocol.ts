/**
 * How messages are written, claimed, and waited for: one writer, many readers, each of which may be stopped for ever
 * before any step. docs/ring-buffer.md draws it, docs/decisions/0007-ring-claim.md has what lost.
 *
 * **Copy, then claim.** A reader copies the message, then moves the read index on by compare-and-swap. If another was
 * faster, or the slot was written again in between, the index has moved, and the copy is thrown away. So a dead reader
 * holds nothing. Indices never start over: one that did could come back to the same value with another message in the
 * slot.
 *
 * **Announce, look again, sleep.** A reader sets its bit before it looks for the last time, the writer looks for bits
 * after it has published: one of the two sees the other.
 */
import type { Batch } from './batch.js';
import { placeOf, READ, type Shape, SLEEPERS, signalOf, WRITE, WRITER } from './layout.js';
import type { Memory } from './memory.js';

/** No message. */
export const EMPTY = -1;
/** There is one, but another reader was faster with the last. */
export const AGAIN = -2;

/**
 * Wakes up to `count` sleeping readers, from `first` on, and gives how many it woke. A bit whose reader is dead, or not
 * yet asleep, wakes no thread and the next one gets its turn; a reader not yet asleep finds its signal changed and
 * stays up.
 *
 * `everyone`: also those whose bit is not set. A reader that died while it passed a wake on may have taken another's
 * bit.
 */
export function wake(memory: Memory, maxReaders: number, count: number, first: number, everyone = false): number {
  const bits = everyone ? -1 : memory.load(SLEEPERS);
  let woken = 0;
  for (let i = 0; i < maxReaders && woken < count; i++) {
    const id = (first + i) % maxReaders;
    const bit = 1 << id;
    if ((bits & bit) === 0) continue;
    // Cleared before it is signalled, or a reader that goes back to sleep at once would lose its new bit.
    const slept = memory.clear(SLEEPERS, bit);
    if (!slept && !everyone) continue;
    memory.add(signalOf(id), 1);
    if (memory.notify(signalOf(id)) > 0) woken++;
  }
  return woken;
}

/** The writer's part. Plain fields: the tests save and restore them. */
export class WriteSide {
  /** Of the next message. */
  index: number;
  /** A read index that was true once: it can only have moved on. */
  read: number;
  /** Where the search for a sleeper begins: each in its turn. */
  first = 0;

  constructor(
    private readonly memory: Memory,
    private readonly shape: Shape,
    /** What the writer's place holds while it is this one's. */
    private readonly place: number,
  ) {
    this.index = memory.load(WRITE);
    this.read = memory.load(READ);
  }

  /** Whether there is room for one more, behind `ahead` that are not published yet. */
  hasRoom(ahead = 0): boolean {
    const next = this.index + ahead;
    if (((next - this.read) | 0) < this.shape.capacity) return true;
    this.read = this.memory.load(READ);
    return ((next - this.read) | 0) < this.shape.capacity;
  }

  write(bytes: Uint8Array, time: number): boolean {
    if (!this.hasRoom()) return false;
    this.checkPlace();
    this.memory.put(this.index & this.shape.mask, bytes, time);
    this.#publish(1);
    return true;
  }

  /** Writes those of `list` from `from` to before `to` that there is room for, visible all at once; how many. */
  writeBatch(list: ArrayLike<Uint8Array>, from: number, to: number, time: number): number {
    if (!this.hasRoom()) return 0;
    this.checkPlace();
    let count = 0;
    while (from + count < to && this.hasRoom(count)) {
      this.memory.put((this.index + count) & this.shape.mask, list[from + count] as Uint8Array, time);
      count++;
    }
    this.#publish(count);
    return count;
  }

  /** By compare-and-swap: costs what a store does, and a second writer is found out. */
  #publish(count: number): void {
    const next = (this.index + count) | 0;
    if (!this.memory.cas(WRITE, this.index, next)) throw takenOver('ringWriter', 'writer');
    this.index = next;
  }

  /**
   * Finds a mistake early, no more: one that happens right behind it is found as one publishes. So no order is needed.
   */
  checkPlace(): void {
    if (this.memory.peek(WRITER) !== this.place) throw takenOver('ringWriter', 'writer');
  }

  /** To be called after each write: wakes up to `count` sleepers if there are `threshold` messages to read. */
  wakeIfDue(threshold: number, count: number): number {
    if (this.memory.load(SLEEPERS) === 0) return 0;
    return this.unread() >= threshold ? this.#wake(count) : 0;
  }

  unread(): number {
    this.read = this.memory.load(READ);
    return (this.index - this.read) | 0;
  }

  #wake(count: number): number {
    this.first = (this.first + 1) % this.shape.maxReaders;
    return wake(this.memory, this.shape.maxReaders, count, this.first);
  }

  /** When messages have waited for long: makes sure that a reader comes, whatever happened to those woken before. */
  rouse(count: number): number {
    if (this.unread() === 0) return 0;
    return this.#wake(count) || wake(this.memory, this.shape.maxReaders, count, 0, true);
  }
}

/** A reader's part. Plain fields: the tests save and restore them. */
export class ReadSide {
  /** A write index that was true once: it can only have moved on. */
  written: number;
  /** Receive time of the message that was read last. */
  time = 0;
  /** Claims that another reader was faster with. */
  lost = 0;

  constructor(
    private readonly memory: Memory,
    private readonly shape: Shape,
    readonly id: number,
    private readonly place: number,
  ) {
    // Not 0: near the wrap that would mean nothing to read.
    this.written = memory.load(WRITE);
  }

  /**
   * Claims one message and gives its length, or {@link EMPTY}.
   * @throws RangeError when it does not fit; it stays where it is
   */
  read(into: Uint8Array): number {
    for (;;) {
      const length = this.tryRead(into);
      if (length !== AGAIN) return length;
      this.lost++;
    }
  }

  tryRead(into: Uint8Array): number {
    const { memory, shape } = this;
    const at = memory.load(READ);
    if (this.#available(at) <= 0) return EMPTY;
    const slot = at & shape.mask;
    const length = memory.lengthOf(slot);
    if (length > into.length) {
      // Perhaps it is the length of another message, if this one was claimed and its slot written again.
      if (memory.load(READ) !== at) return AGAIN;
      throw new RangeError(`ringReader: the message has ${length} bytes, into has room for ${into.length}`);
    }
    memory.copy(slot, length, into);
    const time = memory.timeOf(slot);
    if (!memory.cas(READ, at, (at + 1) | 0)) return AGAIN;
    this.time = time;
    return length;
  }

  /**
   * Claims up to `max` messages at once into the batch, which must be empty, and gives how many; 0 = there are none.
   */
  readBatch(into: Batch, max: number): number {
    for (;;) {
      const count = this.tryReadBatch(into, max);
      if (count !== AGAIN) return count;
      this.lost++;
    }
  }

  tryReadBatch(into: Batch, max: number): number {
    const { memory, shape } = this;
    const at = memory.load(READ);
    const slot = at & shape.mask;
    // Up to the last slot at most: one copy.
    const count = Math.min(this.#available(at), max, into.size, shape.mask + 1 - slot);
    if (count <= 0) return 0;
    memory.copyBatch(slot, count, into.bytes);
    if (!memory.cas(READ, at, (at + count) | 0)) return AGAIN;
    into.next = 0;
    into.end = count;
    return count;
  }

  #available(at: number): number {
    const known = (this.written - at) | 0;
    // More than fit: the index that was remembered is older than half its range.
    if (known > 0 && known <= this.shape.capacity) return known;
    this.written = this.memory.load(WRITE);
    // More than fit, now: others have claimed since `at` was read, so this claim fails and is tried again.
    return (this.written - at) | 0;
  }

  hasUnread(): boolean {
    const at = this.memory.load(READ);
    return this.memory.load(WRITE) !== at;
  }

  /** What to wait for a change of, with {@link Memory.wait} on the signal; undefined = there is something to read. */
  announce(): number | undefined {
    const { memory, id } = this;
    if (memory.load(placeOf(id)) !== this.place) throw takenOver('ringReader', `reader ${id}`);
    const signal = memory.load(signalOf(id));
    memory.set(SLEEPERS, 1 << id);
    if (!this.hasUnread()) return signal;
    memory.clear(SLEEPERS, 1 << id);
    return undefined;
  }

  /** After a wait, which may have ended by itself, not by a wake. Whether there is something to read. */
  leave(): boolean {
    this.memory.clear(SLEEPERS, 1 << this.id);
    return this.hasUnread();
  }

  /** For a reader that was perhaps woken and will not read. */
  passOn(): void {
    if (this.leave()) wake(this.memory, this.shape.maxReaders, 1, this.id + 1);
  }

  /** Sleeps until there is something to read (true) or `timeoutMs` have passed. May come back early, with false. */
  sleep(timeoutMs: number): boolean {
    const signal = this.announce();
    if (signal === undefined) return true;
    this.memory.wait(signalOf(this.id), signal, timeoutMs);
    return this.leave();
  }
}

const takenOver = (owner: string, who: string): Error =>
  new Error(`${owner}: another ${who} has taken over this ring, or writes to it: this one must not go on`);
