/** A worker thread that reads and checks messages, until it is terminated. */
import { workerData } from 'node:worker_threads';
import { ringReader } from 'evenkeel/ring-buffer';
import { numberOf } from '../workers/ring-buffer/messages.js';
import { BUSY, READ_BATCH, type ReaderData, SLOT_BYTES, WRONG } from './ring-state.js';

const { ring, seen, state, id, blocks } = workerData as ReaderData;
const counts = new Uint8Array(seen);
const words = new Int32Array(state);
const reader = ringReader(ring, { id, takeOver: true });
let last = -1;

const check = (view: Uint8Array): void => {
  const i = numberOf(view, SLOT_BYTES);
  if (i <= last || Atomics.add(counts, i % counts.length, 1) !== 0)
    Atomics.compareExchange(words, WRONG, 0, i + 1 || -1);
  last = i;
  // Some are slow, so that some readers are terminated with messages in their hands.
  if (i % 64 === 0) for (const until = performance.now() + 3; performance.now() < until; );
};

for (;;) {
  Atomics.store(words, BUSY + id, 1);
  while (reader.readBatch(check, READ_BATCH) > 0);
  Atomics.store(words, BUSY + id, 0);
  // Long: a lost wake-up is to be noticed.
  if (blocks) reader.waitSync(600_000);
  else await reader.wait(600_000);
}
