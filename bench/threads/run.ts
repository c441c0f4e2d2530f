/**
 * Messages between two threads: the ring, ringbuf.js, and `postMessage` in four ways. `npm run bench:ring [-- rounds]`
 * prints tables in Markdown: medians of rounds, each of which runs every way once.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { createRing, ringReader } from 'evenkeel/ring-buffer';
import { build } from 'tsup';
import type { ReaderData } from './reader.js';
import { batchOf, WAYS, type Way } from './ways.js';

const rounds = Number(process.argv[2] ?? 5);
const folder = mkdtempSync(join(import.meta.dirname, '../results/threads-'));
await build({
  config: false,
  entry: { reader: join(import.meta.dirname, 'reader.ts') },
  outDir: folder,
  format: 'esm',
  outExtension: () => ({ js: '.mjs' }),
  target: 'node20',
  noExternal: [/^evenkeel/, 'ringbuf.js'],
  silent: true,
});

/** So many messages may be under way by `postMessage`, which has no bound of its own. */
const WINDOW = 4_096;
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const median = (list: number[]): number => list.sort((a, b) => a - b)[list.length >> 1] as number;

interface Figures {
  perSecond: number;
  /** CPU time of both threads a message, ns. */
  cpuNs: number;
}

async function start(name: string, bytes: number, total: number, latencies?: SharedArrayBuffer) {
  const way = WAYS[name] as Way;
  const shared = way.share(bytes);
  const state = new SharedArrayBuffer(8);
  const data: ReaderData = { name, shared, state, latencies, total, bytes };
  const worker = new Worker(join(folder, 'reader.mjs'), { workerData: data });
  const words = new Int32Array(state);
  while (Atomics.load(words, 1) === 0) await turn();
  return { send: way.sender(shared, worker as never), received: () => Atomics.load(words, 0), worker };
}

async function throughput(name: string, bytes: number, total: number): Promise<Figures> {
  const { send, received, worker } = await start(name, bytes, total);
  const list = Array.from({ length: batchOf(name) }, (_, i) => new Uint8Array(bytes).fill(65 + (i & 15)));
  const posts = name.startsWith('postMessage');
  const cpu = process.cpuUsage();
  const from = performance.now();
  for (let sent = 0; sent < total; ) {
    sent += send(list);
    if (posts && sent - received() > WINDOW) await turn();
  }
  while (received() < total) await turn();
  const tookMs = performance.now() - from;
  const used = process.cpuUsage(cpu);
  await worker.terminate();
  return { perSecond: (total / tookMs) * 1_000, cpuNs: ((used.user + used.system) * 1_000) / total };
}

/** Sends 10,000 messages a second, one each 0.1 ms, and tells how long they were under way, in µs. */
async function openLoop(name: string, seconds: number): Promise<{ p50: number; p99: number }> {
  const total = 10_000 * seconds;
  const latencies = new SharedArrayBuffer(total * 8);
  const { send, received, worker } = await start(name, 64, total, latencies);
  const message = new Uint8Array(64);
  const time = new DataView(message.buffer);
  const clockMs = (): number => Number(process.hrtime.bigint()) / 1e6;
  const from = clockMs();
  for (let sent = 0; sent < total; ) {
    while (sent < total && clockMs() >= from + sent * 0.1) {
      time.setFloat64(0, clockMs());
      sent += send([message]);
    }
    await turn();
  }
  while (received() < total) await turn();
  await worker.terminate();
  const sorted = new Float64Array(latencies).slice().sort();
  const at = (share: number): number => (sorted[Math.floor(total * share)] as number) * 1_000;
  return { p50: at(0.5), p99: at(0.99) };
}

/** CPU share of a process whose reader waits for two seconds. */
async function idle(): Promise<number> {
  const reader = ringReader(createRing({ capacity: 1_024, slotBytes: 64 }));
  const cpu = process.cpuUsage();
  await reader.wait(2_000);
  const { user, system } = process.cpuUsage(cpu);
  reader.close();
  return (user + system) / 2_000_000;
}

const SIZES: [bytes: number, scale: number][] = [
  [64, 1],
  [1_024, 0.4],
];
for (const [bytes, scale] of SIZES) {
  const names = Object.keys(WAYS);
  const figures = new Map<string, Figures[]>(names.map((name) => [name, []]));
  for (let round = 0; round < rounds; round++) {
    for (const name of names) {
      const total = Math.round((name.startsWith('postMessage') ? 200_000 : 3_000_000) * scale) & ~31;
      figures.get(name)?.push(await throughput(name, bytes, total));
    }
  }
  console.log(`\n| ${bytes} B, 1 reader | messages a second | CPU a message |\n|---|---:|---:|`);
  for (const [name, list] of figures) {
    const perSecond = median(list.map((one) => one.perSecond)) / 1e6;
    console.log(`| ${name} | ${perSecond.toFixed(2)} M | ${Math.round(median(list.map((one) => one.cpuNs)))} ns |`);
  }
}

console.log('\n| open loop, 10,000 a second | p50 | p99 |\n|---|---:|---:|');
for (const name of ['evenkeel, tryWrite', 'postMessage, Uint8Array', 'postMessage, string']) {
  const list: { p50: number; p99: number }[] = [];
  for (let round = 0; round < rounds; round++) list.push(await openLoop(name, 1));
  const of = (what: 'p50' | 'p99'): string => `${Math.round(median(list.map((one) => one[what])))} µs`;
  console.log(`| ${name} | ${of('p50')} | ${of('p99')} |`);
}
console.log(`\nIdle: ${((await idle()) * 100).toFixed(2)} % CPU`);
rmSync(folder, { recursive: true });
