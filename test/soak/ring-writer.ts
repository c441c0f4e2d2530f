/** A worker thread that writes numbered messages, until it is terminated. */
import { workerData } from 'node:worker_threads';
import { ringWriter } from 'evenkeel/ring-buffer';
import { fill } from '../workers/ring-buffer/messages.js';
import { sleep } from './part.js';
import { NEXT, PAUSED, type RingShared, SLOT_BYTES, WRITE_BATCH } from './ring-state.js';

const { ring, state } = workerData as RingShared;
const words = new Int32Array(state);
const writer = ringWriter(ring, { takeOver: true, wakeThreshold: 4 });
const space = Array.from({ length: WRITE_BATCH }, () => new Uint8Array(SLOT_BYTES));

for (;;) {
  if (Atomics.load(words, PAUSED) === 1) {
    writer.flush();
    await sleep(5);
    continue;
  }
  const count = 1 + Math.floor(Math.random() * WRITE_BATCH);
  const first = Atomics.add(words, NEXT, count);
  const list = space.slice(0, count).map((bytes, i) => fill(bytes, first + i));
  for (let written = 0; written < count; ) {
    if (Math.random() < 0.5) written += writer.writeBatch(list.slice(written));
    else if (writer.tryWrite(list[written] as Uint8Array)) written++;
    if (written < count) await sleep(1);
  }
  if (Math.random() < 0.2) await sleep(1);
}
