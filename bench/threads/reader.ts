/** The receiving thread: counts, or notes how long each message was under way. */
import { parentPort, workerData } from 'node:worker_threads';
import { WAYS, type Way } from './ways.js';

export interface ReaderData {
  name: string;
  shared: SharedArrayBuffer | undefined;
  /** [messages received, 1 = ready] */
  state: SharedArrayBuffer;
  /** Where latencies go, ms; none for throughput. */
  latencies: SharedArrayBuffer | undefined;
  total: number;
  bytes: number;
}

const { name, shared, state, latencies, total, bytes } = workerData as ReaderData;
const words = new Int32Array(state);
const times = latencies && new Float64Array(latencies);
let count = 0;
const clockMs = (): number => Number(process.hrtime.bigint()) / 1e6;

const onMessage = (bytes: Uint8Array): void => {
  if (times !== undefined) {
    times[count] = clockMs() - new DataView(bytes.buffer, bytes.byteOffset).getFloat64(0);
  }
  count++;
  // The sender looks at it for its window: not at every message.
  if ((count & 31) === 0 || count >= total || times !== undefined) Atomics.store(words, 0, count);
};

Atomics.store(words, 1, 1);
(WAYS[name] as Way).receive(
  shared,
  parentPort as NonNullable<typeof parentPort>,
  onMessage,
  () => count >= total,
  bytes,
);
