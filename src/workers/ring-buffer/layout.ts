/**
 * The ring's memory, in 32-bit words; what different threads write is on different cache lines:
 *
 *      0  magic, version, capacity, slotBytes, maxReaders
 *     16  write index: messages below it are there to be read
 *     32  read index: messages below it are claimed
 *     48  sleepers, a bit a reader; the writer's place
 *     64  a place and a signal a reader
 *         slots, a power of two of them: length, receive time, payload
 *
 * Both indices count messages, go on for ever and wrap at 2^32; a slot is an index modulo the number of slots.
 */
import { OptionReader } from '../../core/options/validate.js';
import { SharedMemory, strideOf } from './memory.js';

/** "even" */
const MAGIC = 0x6576656e;
/** Of this layout. */
const VERSION = 1;
const HEADER = { magic: 0, version: 1, capacity: 2, slotBytes: 3, maxReaders: 4 };

export const WRITE = 16;
export const READ = 32;
export const SLEEPERS = 48;
export const WRITER = 49;
const READERS = 64;

/** Whether a reader has this place: odd = taken; each change makes it larger, so that a former holder notices. */
export const placeOf = (id: number): number => READERS + 2 * id;
/** What a sleeping reader waits on. */
export const signalOf = (id: number): number => READERS + 2 * id + 1;

/** As many as there are bits in the word of sleepers. */
const MAX_READERS = 32;
/** Offsets stay below 2^31. */
const MAX_BYTES = 2 ** 31 - 1;

/** Options of {@link createRing}. */
export interface RingOptions {
  /** How many messages it holds. Whole, 1 to 2^24. Memory is taken for the next power of two. */
  capacity: number;
  /** The longest message, in bytes. Whole, 1 to 2^24. Each message takes the space of the longest, and 16 bytes. */
  slotBytes: number;
  /** How many readers there can be at a time. Whole, 1 to 32. @default 16 */
  maxReaders?: number | undefined;
}

/** What readers and the writer need to know about a ring. */
export interface Shape {
  capacity: number;
  /** The number of slots less one. */
  mask: number;
  slotBytes: number;
  maxReaders: number;
}

/** Where the slots begin, in bytes. */
export const slotsAt = (maxReaders: number): number => Math.ceil((placeOf(maxReaders) * 4) / 64) * 64;

const slotsFor = (capacity: number): number => 2 ** Math.ceil(Math.log2(capacity));

const bytesFor = (capacity: number, slotBytes: number, maxReaders: number): number =>
  slotsAt(maxReaders) + slotsFor(capacity) * strideOf(slotBytes);

/**
 * Makes the memory of a ring: send it to the worker threads and attach one {@link ringWriter} and any number of
 * {@link ringReader}s.
 *
 * @throws TypeError or RangeError that names a bad option; RangeError for a ring of more than 2 GiB; Error where the
 *   host has no `SharedArrayBuffer` (a page that is not cross-origin isolated)
 */
export function createRing(options: RingOptions): SharedArrayBuffer {
  const read = new OptionReader('createRing', options);
  const capacity = read.number('capacity', undefined, { min: 1, max: 2 ** 24, integer: true });
  const slotBytes = read.number('slotBytes', undefined, { min: 1, max: 2 ** 24, integer: true });
  const maxReaders = read.number('maxReaders', 16, { min: 1, max: MAX_READERS, integer: true });
  read.done();
  const bytes = bytesFor(capacity, slotBytes, maxReaders);
  if (bytes > MAX_BYTES) {
    throw new RangeError(
      `createRing: a capacity of ${capacity} with slotBytes of ${slotBytes} takes ${bytes} bytes, must be ≤ ${MAX_BYTES}`,
    );
  }
  if (typeof SharedArrayBuffer === 'undefined') {
    throw new Error('createRing: this host has no SharedArrayBuffer; a page must be cross-origin isolated');
  }
  const buffer = new SharedArrayBuffer(bytes);
  const words = new Int32Array(buffer);
  words[HEADER.version] = VERSION;
  words[HEADER.capacity] = capacity;
  words[HEADER.slotBytes] = slotBytes;
  words[HEADER.maxReaders] = maxReaders;
  Atomics.store(words, HEADER.magic, MAGIC);
  return buffer;
}

/** @throws TypeError or RangeError when `buffer` is no ring of this version, or was damaged */
export function attach(owner: string, buffer: SharedArrayBuffer): { shape: Shape; memory: SharedMemory } {
  if (typeof SharedArrayBuffer === 'undefined' || !(buffer instanceof SharedArrayBuffer)) {
    const got = Object.prototype.toString.call(buffer).slice(8, -1);
    throw new TypeError(`${owner}: buffer must be a SharedArrayBuffer of createRing, got ${got}`);
  }
  const bad = (what: string): never => {
    throw new RangeError(`${owner}: buffer must be a ring of createRing: ${what}`);
  };
  if (buffer.byteLength < slotsAt(1)) bad(`it has ${buffer.byteLength} bytes`);
  const words = new Int32Array(buffer, 0, slotsAt(1) / 4);
  const at = (word: number): number => words[word] as number;
  if (Atomics.load(words, HEADER.magic) !== MAGIC) bad('its first word is wrong');
  if (at(HEADER.version) !== VERSION) bad(`its layout has version ${at(HEADER.version)}, expected ${VERSION}`);
  const [capacity, slotBytes, maxReaders] = [at(HEADER.capacity), at(HEADER.slotBytes), at(HEADER.maxReaders)];
  if (!(capacity > 0 && slotBytes > 0 && maxReaders > 0 && maxReaders <= MAX_READERS)) {
    bad(`capacity ${capacity}, slotBytes ${slotBytes}, maxReaders ${maxReaders}`);
  }
  const bytes = bytesFor(capacity, slotBytes, maxReaders);
  if (buffer.byteLength !== bytes) bad(`it has ${buffer.byteLength} bytes, its header means ${bytes}`);
  // The read index first: it never passes the write index. By the time of the second look more may have been written.
  const read = Atomics.load(words, READ);
  const unread = (Atomics.load(words, WRITE) - read) | 0;
  if (unread < 0 || (unread > capacity && Atomics.load(words, READ) === read)) bad(`${unread} unread of ${capacity}`);
  const shape = { capacity, mask: slotsFor(capacity) - 1, slotBytes, maxReaders };
  return { shape, memory: new SharedMemory(buffer, slotsAt(maxReaders), slotBytes) };
}
