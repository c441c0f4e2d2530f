/** Four ways to share a ring that look right and are not: what the search must find. */
import { READ, type Shape, SLEEPERS, signalOf, WRITE } from '../../../src/workers/ring-buffer/layout.js';
import type { Memory } from '../../../src/workers/ring-buffer/memory.js';
import { AGAIN, EMPTY, ReadSide, WriteSide } from '../../../src/workers/ring-buffer/protocol.js';
import type { Model } from './model.js';
import type { Setup } from './model-state.js';

const BYTES = 2;

class ClaimsFirst extends ReadSide {
  constructor(
    private readonly m: Memory,
    private readonly s: Shape,
    id: number,
    place: number,
  ) {
    super(m, s, id, place);
  }

  override tryRead(into: Uint8Array): number {
    const at = this.m.load(READ);
    this.written = this.m.load(WRITE);
    if (this.written === at) return EMPTY;
    if (!this.m.cas(READ, at, (at + 1) | 0)) return AGAIN;
    this.m.copy(at & this.s.mask, BYTES, into);
    return BYTES;
  }
}

/** One slot more than messages, and indices that start over behind the last. */
class WritesModulo extends WriteSide {
  constructor(
    private readonly m: Memory,
    private readonly s: Shape,
    place: number,
  ) {
    super(m, s, place);
  }

  override write(bytes: Uint8Array, time: number): boolean {
    const next = (this.index + 1) % (this.s.mask + 1);
    this.read = this.m.load(READ);
    if (next === this.read) return false;
    this.m.put(this.index, bytes, time);
    this.m.cas(WRITE, this.index, next);
    this.index = next;
    return true;
  }
}

class ReadsModulo extends ReadSide {
  constructor(
    private readonly m: Memory,
    private readonly s: Shape,
    id: number,
    place: number,
  ) {
    super(m, s, id, place);
  }

  override tryRead(into: Uint8Array): number {
    const at = this.m.load(READ);
    this.written = this.m.load(WRITE);
    if (this.written === at) return EMPTY;
    this.m.copy(at, BYTES, into);
    return this.m.cas(READ, at, (at + 1) % (this.s.mask + 1)) ? BYTES : AGAIN;
  }
}

/** A sequence number a slot (Vyukov; crossbeam's ArrayQueue): the reader claims, copies, and then releases the slot. */
class WritesSequence extends WriteSide {
  constructor(
    private readonly m: Model,
    private readonly s: Shape,
    place: number,
  ) {
    super(m, s, place);
  }

  override write(bytes: Uint8Array, time: number): boolean {
    const slot = this.index & this.s.mask;
    const releases = this.m.load(this.m.extra(this.s.mask + 1));
    if (this.m.load(this.m.extra(slot)) !== this.index) {
      this.read = releases;
      return false;
    }
    this.m.put(slot, bytes);
    this.m.store(this.m.extra(slot), this.index + 1);
    this.m.store(WRITE, ++this.index);
    void time;
    return true;
  }
}

class ReadsSequence extends ReadSide {
  constructor(
    private readonly m: Model,
    private readonly s: Shape,
    id: number,
    place: number,
  ) {
    super(m, s, id, place);
  }

  override tryRead(into: Uint8Array): number {
    this.written = this.m.load(WRITE);
    const at = this.m.load(READ);
    const slot = at & this.s.mask;
    const sequence = this.m.load(this.m.extra(slot));
    if (sequence <= at) return EMPTY;
    if (sequence !== at + 1 || !this.m.cas(READ, at, at + 1)) return AGAIN;
    this.m.copy(slot, BYTES, into);
    this.m.store(this.m.extra(slot), at + this.s.mask + 1);
    this.m.add(this.m.extra(this.s.mask + 1), 1);
    return BYTES;
  }
}

class SleepsWithoutLooking extends ReadSide {
  constructor(
    private readonly m: Memory,
    s: Shape,
    id: number,
    place: number,
  ) {
    super(m, s, id, place);
  }

  override announce(): number {
    const signal = this.m.load(signalOf(this.id));
    this.m.set(SLEEPERS, 1 << this.id);
    return signal;
  }
}

export const claimThenRead: Partial<Setup> = {
  sides: { reader: (memory, shape, id, place) => new ClaimsFirst(memory, shape, id, place) },
};

export const indexModulo: Partial<Setup> = {
  slots: 3,
  monotonic: false,
  sides: {
    writer: (memory, shape, place) => new WritesModulo(memory, shape, place),
    reader: (memory, shape, id, place) => new ReadsModulo(memory, shape, id, place),
  },
};

export const slotSequence: Partial<Setup> = {
  monotonic: false,
  extraWords: [0, 1, 0],
  roomWord: (words) => words - 1,
  mayLose: 1,
  sides: {
    writer: (memory, shape, place) => new WritesSequence(memory as Model, shape, place),
    reader: (memory, shape, id, place) => new ReadsSequence(memory as Model, shape, id, place),
  },
};

export const sleepWithoutLooking: Partial<Setup> = {
  sides: { reader: (memory, shape, id, place) => new SleepsWithoutLooking(memory, shape, id, place) },
};
