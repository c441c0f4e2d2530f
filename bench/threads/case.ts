/** One measurement, in a process of its own: `case.js <what> <way> <bytes> <messages>`. */
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { createRing, ringReader } from 'evenkeel/ring-buffer';
import { clockMs, countAt, type ReaderData } from './reader.js';
import { batchOf, isPosted, WAYS, type Way } from './ways.js';

export interface Throughput {
  perSecond: number;
  /** CPU time of all threads a message, ns. */
  cpuNs: number;
  /** What each reader got. */
  shares: number[];
}

export interface Latency {
  p50Us: number;
  p99Us: number;
}

export interface Idle {
  /** Of one core. */
  cpuRatio: number;
  /** How often the waiting thread came back. */
  wakeUps: number;
}

/** So many messages may be under way by `postMessage`, which has no bound of its own. */
const WINDOW = 4_096;
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

async function start(name: string, bytes: number, total: number, readers = 1, latencies?: SharedArrayBuffer) {
  const way = WAYS[name] as Way;
  const shared = way.share(bytes);
  const state = new SharedArrayBuffer(countAt(readers) * 4);
  const words = new Int32Array(state);
  const workers = Array.from({ length: readers }, (_, index) => {
    const data: ReaderData = { name, shared, state, index, latencies, total: readers > 1 ? Infinity : total, bytes };
    return new Worker(join(import.meta.dirname, 'reader.js'), { workerData: data });
  });
  while (Atomics.load(words, 0) < readers) await turn();
  const counts = (): number[] => workers.map((_, index) => Atomics.load(words, countAt(index)));
  return {
    send: way.sender(shared, workers[0] as never),
    counts,
    received: () => counts().reduce((sum, one) => sum + one),
    end: () => Promise.all(workers.map((worker) => worker.terminate())),
  };
}

async function throughput(name: string, bytes: number, total: number, readers = 1): Promise<Throughput> {
  const { send, received, counts, end } = await start(name, bytes, total, readers);
  const list = Array.from({ length: batchOf(name) }, (_, i) => new Uint8Array(bytes).fill(65 + (i & 15)));
  const cpu = process.cpuUsage();
  const from = performance.now();
  for (let sent = 0; sent < total; ) {
    sent += send(list);
    if (isPosted(name) && sent - received() > WINDOW) await turn();
  }
  while (received() < total) await turn();
  const tookMs = performance.now() - from;
  const { user, system } = process.cpuUsage(cpu);
  await end();
  return {
    perSecond: (total / tookMs) * 1_000,
    cpuNs: ((user + system) * 1_000) / total,
    shares: counts().map((count) => count / total),
  };
}

/** 10,000 messages a second, one each 0.1 ms. */
async function openLoop(name: string, bytes: number, total: number): Promise<Latency> {
  const latencies = new SharedArrayBuffer(total * 8);
  const { send, received, end } = await start(name, bytes, total, 1, latencies);
  const list = [new Uint8Array(bytes)];
  const time = new DataView((list[0] as Uint8Array).buffer);
  const from = clockMs();
  for (let sent = 0; sent < total; ) {
    while (sent < total && clockMs() >= from + sent * 0.1) {
      time.setFloat64(0, clockMs());
      sent += send(list);
    }
    await turn();
  }
  while (received() < total) await turn();
  await end();
  const sorted = new Float64Array(latencies).slice().sort();
  const at = (share: number): number => (sorted[Math.floor(total * share)] as number) * 1_000;
  return { p50Us: at(0.5), p99Us: at(0.99) };
}

/** A thread that waits for two seconds for a message that does not come. */
async function idle(): Promise<Idle> {
  const reader = ringReader(createRing({ capacity: 1_024, slotBytes: 64 }));
  await new Promise((resolve) => setTimeout(resolve, 200));
  const before = process.resourceUsage();
  reader.waitSync(2_000);
  const after = process.resourceUsage();
  const cpu = after.userCPUTime + after.systemCPUTime - before.userCPUTime - before.systemCPUTime;
  // It has to come back once, for its time is over.
  const wakeUps = after.voluntaryContextSwitches - before.voluntaryContextSwitches - 1;
  return { cpuRatio: cpu / 2_000_000, wakeUps };
}

const [what, name = '', bytes, messages] = process.argv.slice(2);
const [size, total] = [Number(bytes), Number(messages)];
if (what === 'throughput') process.send?.(await throughput(name, size, total));
else if (what === 'two readers') process.send?.(await throughput(name, size, total, 2));
else if (what === 'open loop') process.send?.(await openLoop(name, size, total));
else process.send?.(await idle());
process.disconnect();
