/** A worker thread whose clock begins elsewhere, as those of some hosts do. */
import { workerData } from 'node:worker_threads';
import { systemClock } from 'evenkeel';
import { ringWriter } from 'evenkeel/ring-buffer';

const { ring, shiftMs } = workerData as { ring: SharedArrayBuffer; shiftMs: number };
const now = performance.now.bind(performance);
performance.now = () => now() + shiftMs;

const writer = ringWriter(ring);
writer.tryWrite(Uint8Array.of(1));
writer.tryWrite(Uint8Array.of(2), systemClock.now() - 100);
