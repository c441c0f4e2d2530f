/**
 * What host and worker agree on: the frames that pass through the rings, and the status block in which a worker says
 * what it is at, so that the host knows, whenever it dies, which message it held.
 */

import { systemClock, threadOffset } from '../../core/time/clock.js';

/** What goes before the bytes of a message: its place, and when it is too old. */
export const REQUEST_HEADER_BYTES = 16;
/** What goes before the bytes of a reply: the message's place, and what came of it. */
export const REPLY_HEADER_BYTES = 8;

/** What came of a message in the worker; skipped: it was too old, or no caller waited for it any more. */
export const Answer = { VALUE: 0, ERROR: 1, SKIPPED: 2 } as const;

/**
 * Writes and reads the headers of frames; keeps views, since making a DataView costs more than the rest of a message.
 */
export class Header {
  readonly bytes = new Uint8Array(REQUEST_HEADER_BYTES);
  readonly #words = new Uint32Array(this.bytes.buffer);
  readonly #floats = new Float64Array(this.bytes.buffer);

  /** Begins the frame of a message. */
  request(frame: Uint8Array, place: number, expiresAt: number): void {
    this.#words[0] = place;
    this.#floats[1] = expiresAt;
    frame.set(this.bytes);
  }

  /** Begins the frame of a reply. */
  reply(frame: Uint8Array, place: number, answer: number): void {
    this.#words[0] = place;
    this.#words[1] = answer;
    frame.set(this.bytes.subarray(0, REPLY_HEADER_BYTES));
  }

  /** Takes in the header of `frame`. */
  read(frame: Uint8Array, length: number): this {
    for (let i = 0; i < length; i++) this.bytes[i] = frame[i] as number;
    return this;
  }

  /** The low 32 bits of the message's place in its set. */
  get place(): number {
    return this.#words[0] as number;
  }

  get answer(): number {
    return this.#words[1] as number;
  }

  get expiresAt(): number {
    return this.#floats[1] as number;
  }
}

/** Where a worker is between two messages. */
export const Phase = {
  /** It has not called `serve` yet. */
  STARTING: 0,
  /** It holds no message. */
  IDLE: 1,
  /** It may have taken a message that `place` does not name yet. */
  CLAIMING: 2,
  /** It holds the message at `place`, whose handler has not begun. */
  CLAIMED: 3,
  /** The handler has the message at `place`. */
  HANDLING: 4,
} as const;

const PHASE = 0;
const PLACE = 1;

/**
 * A worker's status, in shared memory: the worker writes, the host reads. What a phase refers to is written before the
 * phase, and read after it.
 */
export class WorkerStatus {
  readonly buffer: SharedArrayBuffer;
  readonly #beganAt: Float64Array;
  readonly #words: Int32Array;

  constructor(buffer = new SharedArrayBuffer(16)) {
    this.buffer = buffer;
    this.#beganAt = new Float64Array(buffer, 0, 1);
    this.#words = new Int32Array(buffer, 8, 2);
  }

  get phase(): number {
    return Atomics.load(this.#words, PHASE);
  }

  set phase(phase: number) {
    Atomics.store(this.#words, PHASE, phase);
  }

  /** The low 32 bits of the place of the message that it holds, or held last. */
  get place(): number {
    return Atomics.load(this.#words, PLACE) >>> 0;
  }

  /** When the handler was given the message, by the clock that all threads share, ms. */
  get beganAt(): number {
    return this.#beganAt[0] as number;
  }

  claimed(place: number): void {
    Atomics.store(this.#words, PLACE, place);
    this.phase = Phase.CLAIMED;
  }

  handling(at: number): void {
    this.#beganAt[0] = at;
    this.phase = Phase.HANDLING;
  }
}

/**
 * Which of the messages in a ring no caller waits for any more, so that no worker begins with them. A word a slot of
 * the ring: the place of its message once that is given up, until then the place's complement.
 */
export class GivenUp {
  readonly buffer: SharedArrayBuffer;
  readonly #words: Int32Array;
  readonly #mask: number;

  constructor(buffer: SharedArrayBuffer) {
    this.buffer = buffer;
    this.#words = new Int32Array(buffer);
    this.#mask = this.#words.length - 1;
  }

  static of(capacity: number): GivenUp {
    return new GivenUp(new SharedArrayBuffer(4 * 2 ** Math.ceil(Math.log2(capacity))));
  }

  /** A message is about to be put there. */
  begin(place: number): void {
    Atomics.store(this.#words, place & this.#mask, ~place);
  }

  /** Harmless when the slot has another message already. */
  add(place: number): void {
    Atomics.compareExchange(this.#words, place & this.#mask, ~place, place | 0);
  }

  has(place: number): boolean {
    return Atomics.load(this.#words, place & this.#mask) === (place | 0);
  }
}

/** What a worker gets with its start, in its `workerData`, beside the user's own. */
export interface Connection {
  readonly requests: SharedArrayBuffer;
  readonly givenUp: SharedArrayBuffer;
  readonly replies: SharedArrayBuffer;
  readonly status: SharedArrayBuffer;
  /** The worker's place among the readers of the requests; its former holder, if any, is dead. */
  readonly reader: number;
  /** The longest message, in bytes, and the longest reply. */
  readonly messageBytes: number;
  readonly replyBytes: number;
}

/** Its name there; a string, since symbols do not cross threads. */
export const CONNECTION = 'evenkeel';

const SEPARATOR = '\u0000';

/** What a handler threw, as the bytes of a reply, cut to what fits. */
export function bytesOfError(error: unknown, maxBytes: number): Uint8Array {
  const bytes = new Uint8Array(maxBytes);
  const { written } = new TextEncoder().encodeInto(textOf(error), bytes);
  return bytes.subarray(0, written);
}

function textOf(thrown: unknown): string {
  try {
    const { name, message, stack } = thrown instanceof Error ? thrown : new Error(String(thrown));
    return [name, message, stack ?? ''].join(SEPARATOR);
  } catch {
    return ['Error', 'the handler threw what cannot be turned into text'].join(SEPARATOR);
  }
}

/** The error again. */
export function errorOf(bytes: Uint8Array): Error {
  const [name = 'Error', message = '', stack] = new TextDecoder().decode(bytes).split(SEPARATOR);
  const error = new Error(message);
  Object.defineProperty(error, 'name', { value: name, configurable: true, writable: true });
  if (stack) error.stack = stack;
  return error;
}

/**
 * Whether it is a Uint8Array, also one of another realm: a `vm` context, as test runners use, has classes of its own.
 */
export function isBytes(value: unknown): value is Uint8Array {
  return ArrayBuffer.isView(value) && (value as Uint8Array).BYTES_PER_ELEMENT === 1;
}

/** The time that all threads share, ms. */
export function sharedClock(): () => number {
  const offset = threadOffset(systemClock);
  return () => systemClock.now() + offset;
}
