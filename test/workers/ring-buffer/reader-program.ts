/** A worker thread that reads until all is written and read, and checks each message. */
import { workerData } from 'node:worker_threads';
import { ringReader } from 'evenkeel/ring-buffer';
import { COUNT, DONE, numberOf, PROBLEM, type Shared } from './messages.js';

const { ring, seen, state, batch, options, slotBytes } = workerData as Shared;
const counts = new Uint8Array(seen);
const words = new Int32Array(state);
const reader = ringReader(ring, options);
let last = -1;

const check = (view: Uint8Array): void => {
  const i = numberOf(view, slotBytes);
  const isGood = i > last && i < counts.length && Atomics.add(counts, i, 1) === 0;
  if (!isGood) Atomics.compareExchange(words, PROBLEM, 0, i + 2);
  last = i;
};

for (;;) {
  const count = reader.readBatch(check, batch);
  if (count > 0) Atomics.add(words, COUNT, count);
  else if (Atomics.load(words, DONE) === 1 && !reader.waitSync(0)) break;
  else reader.waitSync(20);
}
reader.close();
