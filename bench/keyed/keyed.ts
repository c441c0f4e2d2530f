/**
 * `npm run bench:memory`: what a million keys take of memory, ours and express-rate-limit's, and the longest
 * that a single call of ours takes while keys are invented. Each call's time is the least of several runs that do the very
 * same, so that what is left of pauses is our own.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { keyedRateLimiter } from 'evenkeel';
import { seededRandom } from 'evenkeel/testing';
import { MemoryStore, type Options } from 'express-rate-limit';
import { resultsDir } from '../kit/build.js';

export interface MemoryRun {
  startedAt: string;
  bytesAKey: number;
  /** Of express-rate-limit's store. */
  peerBytesAKey: number;
  /** The longest of our calls while keys are invented. */
  longestUs: number;
}

const startedAt = new Date().toISOString();
const KEYS = 1_000_000;
const RUNS = 7;

function memory(): number {
  if (globalThis.gc === undefined) throw new Error('needs node --expose-gc');
  globalThis.gc();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

/** Bytes that `count` leaves behind for a key, beyond the key itself. */
async function bytesAKey(keys: readonly string[], count: (key: string) => unknown): Promise<number> {
  const before = memory();
  for (const key of keys) await count(key);
  return (memory() - before) / keys.length;
}

/** What has been measured must not be freed while the next is. */
const alive: unknown[] = [];

const limiterOf = (seed: number) =>
  keyedRateLimiter({ limit: 5, windowMs: 60_000, maxKeys: KEYS, random: seededRandom(seed) });

async function ours(keys: readonly string[]): Promise<number> {
  const before = memory();
  const limiter = limiterOf(1);
  alive.push(limiter);
  const empty = memory() - before;
  return empty / keys.length + (await bytesAKey(keys, (key) => limiter.tryAcquire({ key })));
}

function theirs(keys: readonly string[]): Promise<number> {
  const store = new MemoryStore();
  store.init({ windowMs: 600_000 } as Options);
  alive.push(store);
  return bytesAKey(keys, (key) => store.increment(key));
}

function longestCallMs(keys: readonly string[], invented: readonly string[]): number {
  const least = new Float64Array(invented.length).fill(Infinity);
  for (let run = 0; run < RUNS; run++) {
    const limiter = limiterOf(2);
    for (const key of keys) limiter.tryAcquire({ key, startedAt: 0 });
    for (let i = 0; i < invented.length; i++) {
      const ctx = { key: invented[i] as string, startedAt: i / 100 };
      const from = performance.now();
      limiter.tryAcquire(ctx);
      least[i] = Math.min(least[i] as number, performance.now() - from);
    }
  }
  return least.reduce((most, one) => Math.max(most, one), 0);
}

const keys = Array.from({ length: KEYS }, (_, i) => `user-${i}`);
const [a, b] = [await ours(keys), await theirs(keys)];
console.log(`bytes a key: evenkeel ${a.toFixed(1)}, express-rate-limit ${b.toFixed(1)}, ratio ${(a / b).toFixed(3)}`);
// Twice the table: every slot is replaced, some twice, and two epochs end.
const invented = Array.from({ length: 2 * KEYS }, (_, i) => `invented-${i}`);
const longestUs = longestCallMs(keys, invented) * 1e3;
console.log(`longest call while ${invented.length} keys are invented: ${longestUs.toFixed(1)} µs`);
const result: MemoryRun = { startedAt, bytesAKey: a, peerBytesAKey: b, longestUs };
mkdirSync(resultsDir, { recursive: true });
writeFileSync(join(resultsDir, 'memory.json'), `${JSON.stringify(result, null, 2)}\n`);
process.exit(0);
