/** What the search of `model.ts` goes through: its setup, a state of the ring and its threads, and how states are told apart. */
import { WRITE } from '../../../src/workers/ring-buffer/layout.js';
import type { Memory } from '../../../src/workers/ring-buffer/memory.js';
import type { ReadSide, WriteSide } from '../../../src/workers/ring-buffer/protocol.js';

export interface Thread {
  kind: 'writer' | 'reader' | 'quitter';
  alive: boolean;
  /** What the call in progress has got from its steps. */
  log: number[];
  /** The word that it waits on; −1 = none. */
  blockedOn: number;
  /** Of its side, as they were when the call began. */
  fields: number[];
  /** Writer: messages sent. Reader: 1 = announces next, 2 = waits next. Quitter: 1 = done. */
  at: number;
  /** Writer: has written and looks next whom to wake. */
  wakes: boolean;
  /** Writer: whether its timer is set. */
  armed: boolean;
  /** The other side's index at which the ring was full, or empty for one that does not sleep; it goes on when that moves. */
  waitsAt: number | undefined;
}

export interface State {
  words: Int32Array;
  threads: Thread[];
  /** A bit a message. */
  delivered: number;
  crashes: number;
}

export interface Sides {
  writer: (memory: Memory, shape: Shape, place: number) => WriteSide;
  reader: (memory: Memory, shape: Shape, id: number, place: number) => ReadSide;
}

export interface Shape {
  capacity: number;
  mask: number;
  slotBytes: number;
  maxReaders: number;
}

export interface Setup {
  readers: number;
  messages: number;
  capacity?: number;
  /** Slots, if other than the next power of two, and further words behind them: for other protocols. */
  slots?: number;
  extraWords?: number[];
  /** Both indices at the start. */
  start?: number;
  /** How many readers may be stopped for ever. */
  crashes?: number;
  /** Also the writer, whose place another takes. */
  writerCrashes?: boolean;
  /** Readers that sleep, give up at any time or when woken, and leave without reading. */
  quitters?: number;
  /** Readers do not sleep, and the writer wakes nobody: searches the claims alone. */
  polls?: boolean;
  /** Writing and reading a message takes no step of its own: searches sleep and wake alone. */
  whole?: boolean;
  /** Messages a claim. */
  batch?: number;
  wakeThreshold?: number;
  wakeCount?: number;
  /** Whether the writer's timer looks after messages that wait. */
  timer?: boolean;
  /** Other protocols: sides of their own, … */
  sides?: Partial<Sides>;
  /** … whose indices start over, … */
  monotonic?: boolean;
  /** … whose writer, when full, waits for another word than the read index to change. */
  roomWord?: (words: number) => number;
  /** … and that lose so many messages in a crash. */
  mayLose?: number;
}

export interface Search {
  states: number;
  /** What went wrong, and the steps to it. */
  problem: string | undefined;
  steps: number;
}

export const clone = ({ words, threads, ...rest }: State): State => ({
  ...rest,
  words: words.slice(),
  threads: threads.map((thread) => ({ ...thread, log: thread.log.slice() })),
});

/**
 * States are told apart by 53 bits: among a million of them two are taken for one with a chance of 1 in 10,000.
 * @param nameless readers that do not sleep have no names: which of them does what is all the same
 */
export function hashOf({ words, threads, delivered, crashes }: State, nameless: boolean): number {
  const all = new Hash();
  for (let i = WRITE; i < words.length; i++) if (words[i] !== 0) all.mix(i).mix(words[i] as number);
  all.mix(delivered).mix(crashes);
  const each = threads.map((thread) => {
    const one = new Hash().mix(
      thread.log.length * 64 +
        Number(thread.alive) +
        2 * Number(thread.armed) +
        4 * thread.at +
        512 * Number(thread.wakes),
    );
    for (const value of thread.log) one.mix(value);
    for (const value of thread.fields) one.mix(value);
    return one.mix(thread.blockedOn).mix(thread.waitsAt ?? 0x7ffffff);
  });
  if (nameless) each.sort((x, y) => x.a - y.a);
  for (const one of each) all.mix(one.a).mix(one.b);
  return (all.a >>> 0) * 2 ** 21 + (all.b & 0x1fffff);
}

class Hash {
  a = 0x811c9dc5 | 0;
  b = 0x9747b28c | 0;

  mix(value: number): this {
    this.a = Math.imul(this.a ^ value, 0x9e3779b1);
    this.a ^= this.a >>> 15;
    this.b = (Math.imul((this.b << 13) | (this.b >>> 19), 5) + Math.imul(value ^ (this.b >>> 7), 0x5bd1e995)) | 0;
    return this;
  }
}
