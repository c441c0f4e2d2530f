/** A ring whose writer and readers are threads that are terminated at random. */
import { Worker } from 'node:worker_threads';
import type { Random } from 'evenkeel';
import { createRing } from 'evenkeel/ring-buffer';
import { READ, WRITE } from '../../src/workers/ring-buffer/layout.js';
import { type Part, sleep, soon } from './part.js';
import type { Programs } from './programs.js';
import { BUSY, MOST, NEXT, PAUSED, READ_BATCH, READERS, SLOT_BYTES, WRITE_BATCH, WRONG } from './ring-state.js';

/** What happened between two rests. */
export interface RingPeriod {
  /** Numbers given to messages: of those a writer that died may have written only some. */
  numbered: number;
  /** Messages that the ring took. */
  written: number;
  /** Messages that a reader got. */
  read: number;
  /** Terminated while there were messages. */
  deadReaders: number;
  deadWriters: number;
  /** 0 = none was damaged, out of order, or read twice. */
  wrong: number;
}

/** By the ring's contract a reader that dies loses what it had claimed, and nothing else is lost. */
export function problemsOf({ numbered, written, read, deadReaders, deadWriters, wrong }: RingPeriod): string[] {
  const lost = written - read;
  const unwritten = numbered - written;
  return [
    ...(wrong === 0 ? [] : [`ring: message ${wrong - 1} was damaged, out of order or read twice`]),
    ...(lost >= 0 && lost <= READ_BATCH * deadReaders
      ? []
      : [`ring: ${lost} of ${written} messages lost, ${deadReaders} readers have died`]),
    ...(unwritten >= 0 && unwritten <= WRITE_BATCH * deadWriters
      ? []
      : [`ring: ${unwritten} messages never written, ${deadWriters} writers have died`]),
  ];
}

export function ringPart(random: Random, programs: Programs): Part {
  const shared = {
    ring: createRing({ capacity: 200, slotBytes: SLOT_BYTES, maxReaders: READERS }),
    seen: new SharedArrayBuffer(MOST),
    state: new SharedArrayBuffer(4 * (BUSY + READERS)),
  };
  const header = new Int32Array(shared.ring);
  const words = new Int32Array(shared.state);
  const counts = new Uint8Array(shared.seen);
  // So that they pass their wrap.
  header[WRITE] = header[READ] = -100_000;

  let [written, read, deadReaders, deadWriters] = [0, 0, 0, 0];
  let [numberedBefore, writtenBefore, deadReadersBefore, deadWritersBefore] = [0, header[WRITE] as number, 0, 0];
  const failures: string[] = [];
  const start = (program: string, data: object = {}): Worker =>
    new Worker(programs.path(program), { workerData: { ...shared, ...data } }).on('error', (error) => {
      failures.push(`ring: a thread died of ${error}`);
    });
  const startReader = (id: number): Worker => start('ring-reader', { id, blocks: id !== 0 });
  const readers = Array.from({ length: READERS }, (_, id) => startReader(id));
  let writer: Worker | undefined = start('ring-writer');

  let going = false;
  let killer: Promise<void> | undefined;
  const kill = async (): Promise<void> => {
    while (going) {
      await sleep(100 + random() * 400);
      const id = Math.floor(random() * (READERS + 1));
      if (id < READERS) {
        await readers[id]?.terminate();
        deadReaders++;
        words[BUSY + id] = 0;
        readers[id] = startReader(id);
      } else {
        await writer?.terminate();
        deadWriters++;
        writer = start('ring-writer');
      }
    }
  };

  return {
    calls: 0,
    go() {
      Atomics.store(words, PAUSED, 0);
      going = true;
      killer = kill();
    },
    async rest() {
      going = false;
      await killer;
      Atomics.store(words, PAUSED, 1);
      const busy = (): boolean => words.subarray(BUSY).some((_, id) => Atomics.load(words, BUSY + id) === 1);
      // A writer that has numbered a batch writes it to the end: quiet is what has been so for a while.
      let [looks, before] = [0, -1];
      const isQuiet = await soon(() => {
        const index = Atomics.load(header, WRITE);
        looks = index === before && Atomics.load(header, READ) === index && !busy() ? looks + 1 : 0;
        before = index;
        return looks === 20;
      });
      const writeIndex = Atomics.load(header, WRITE);
      const period: RingPeriod = {
        numbered: Atomics.load(words, NEXT) - numberedBefore,
        written: (writeIndex - writtenBefore) | 0,
        read: counts.reduce((sum, n) => sum + n, 0),
        deadReaders: deadReaders - deadReadersBefore,
        deadWriters: deadWriters - deadWritersBefore,
        wrong: words[WRONG] as number,
      };
      counts.fill(0);
      written += period.written;
      read += period.read;
      numberedBefore += period.numbered;
      [writtenBefore, deadReadersBefore, deadWritersBefore] = [writeIndex, deadReaders, deadWriters];
      const unread = (writeIndex - Atomics.load(header, READ)) | 0;
      return [
        ...failures.splice(0),
        ...(isQuiet ? [] : [`ring: ${unread} messages that nobody reads`]),
        ...problemsOf(period),
      ];
    },
    async end() {
      await Promise.all([writer, ...readers.splice(0)].map((worker) => worker?.terminate()));
      writer = undefined;
      return written > 0 ? failures : ['ring: nothing was written'];
    },
    summary: () =>
      `ring: ${written} messages written, ${read} read once, ${written - read} lost with ${deadReaders} readers terminated; ` +
      `${deadWriters} writers terminated`,
  };
}
