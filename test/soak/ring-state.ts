/** What host, writer and readers of the ring's part share. */
export interface RingShared {
  ring: SharedArrayBuffer;
  /** How often each message was read, by its number modulo the length. */
  seen: SharedArrayBuffer;
  /** Words: see below. */
  state: SharedArrayBuffer;
}

export interface ReaderData extends RingShared {
  id: number;
  /** Whether it blocks its thread to wait. */
  blocks: boolean;
}

/** 1 = nothing is to be written. */
export const PAUSED = 0;
/** The number of the next message; changed before it is written, so that no number is given to two. */
export const NEXT = 1;
/** The number + 1 of the first message that was damaged, out of order, or read twice. */
export const WRONG = 2;
/** From here on a word a reader: 1 = it may have messages in its hands. */
export const BUSY = 3;

export const READERS = 3;
export const SLOT_BYTES = 48;
/** A reader claims at most so many at once: what it may lose by its death. */
export const READ_BATCH = 8;
export const WRITE_BATCH = 16;
/** As many messages can be written between two rests. */
export const MOST = 2 ** 22;
