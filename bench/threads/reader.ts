/** The receiving thread: counts, or notes how long each message was under way. */
import { parentPort, workerData } from 'node:worker_threads';
import { WAYS, type Way } from './ways.js';

export interface ReaderData {
  name: string;
  shared: SharedArrayBuffer | undefined;
  /** How many readers are ready; from {@link countAt} on, messages received. */
  state: SharedArrayBuffer;
  /** Which of the readers this is. */
  index: number;
  /** Where latencies go, ms; none for throughput. */
  latencies: SharedArrayBuffer | undefined;
  /** It ends after so many; Infinity = when it is terminated. */
  total: number;
  bytes: number;
}

/** In words; each reader's on a cache line of its own. */
export const countAt = (index: number): number => 16 * (index + 1);

/** The same in all threads. */
export const clockMs = (): number => Number(process.hrtime.bigint()) / 1e6;

if (parentPort !== null) {
  const { name, shared, state, index, latencies, total, bytes } = workerData as ReaderData;
  const words = new Int32Array(state);
  const times = latencies && new Float64Array(latencies);
  const isExact = times !== undefined || total === Infinity;
  let count = 0;

  const onMessage = (bytes: Uint8Array): void => {
    if (times !== undefined) {
      times[count] = clockMs() - new DataView(bytes.buffer, bytes.byteOffset).getFloat64(0);
    }
    count++;
    // The sender looks at it for its window: not at every message.
    if (isExact || (count & 31) === 0 || count >= total) Atomics.store(words, countAt(index), count);
  };

  Atomics.add(words, 0, 1);
  (WAYS[name] as Way).receive(shared, parentPort, onMessage, () => count >= total, bytes);
}
