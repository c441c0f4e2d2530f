import { createRing, type RingOptions, type RingReaderOptions } from 'evenkeel/ring-buffer';

/** What main thread and readers share. */
export interface Shared {
  ring: SharedArrayBuffer;
  /** How often each message was read. */
  seen: SharedArrayBuffer;
  /** [1 = all is written, messages read, first problem + 1] */
  state: SharedArrayBuffer;
  slotBytes: number;
  batch: number;
  options: RingReaderOptions;
}

export const DONE = 0;
export const COUNT = 1;
export const PROBLEM = 2;

export function share(messages: number, ring: RingOptions, batch = 32): Shared {
  return {
    ring: createRing(ring),
    seen: new SharedArrayBuffer(messages),
    state: new SharedArrayBuffer(12),
    slotBytes: ring.slotBytes,
    batch,
    options: {},
  };
}

/** Message `i`: its number, and bytes that follow from it, as many as its number says. */
export function fill(bytes: Uint8Array, i: number): Uint8Array {
  const length = 4 + (i % (bytes.length - 3));
  for (let at = 0; at < 4; at++) bytes[at] = i >>> (8 * at);
  bytes.fill((i * 31) & 0xff, 4, length);
  return bytes.subarray(0, length);
}

/** The number of a message; −1 = it is damaged. */
export function numberOf(view: Uint8Array, slotBytes: number): number {
  const at = (i: number): number => view[i] as number;
  const i = (at(0) | (at(1) << 8) | (at(2) << 16) | (at(3) << 24)) >>> 0;
  if (view.length !== 4 + (i % (slotBytes - 3))) return -1;
  for (let k = 4; k < view.length; k++) if (view[k] !== ((i * 31) & 0xff)) return -1;
  return i;
}
