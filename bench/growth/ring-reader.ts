/** A thread that reads what the sweep over readers writes. */
import { parentPort, workerData } from 'node:worker_threads';
import { ringReader } from 'evenkeel/ring-buffer';

const reader = ringReader(workerData as SharedArrayBuffer);
parentPort?.postMessage('ready');
// It goes down with the process.
for (;;) if (reader.readBatch(() => {}) === 0) reader.waitSync(100);
