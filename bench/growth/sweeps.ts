/** What is measured against the number of what. A series of a sweep is a benchmark case for each number. */
import { Worker } from 'node:worker_threads';
import {
  circuitBreaker,
  concurrencyLimiter,
  dynamicTimeout,
  type Gate,
  keyedRateLimiter,
  pipeline,
  rateLimiter,
  systemClock,
} from 'evenkeel';
import { balancer } from 'evenkeel/balancer';
import { createRing, ringWriter } from 'evenkeel/ring-buffer';
import { seededRandom } from 'evenkeel/testing';
import type { Call, Callee } from '../kit/case.js';

export interface GrowthSeries {
  name: string;
  /** What the language charges for the same: ours is judged by its ratio to it. */
  isFloor?: boolean;
  setup(callee: Callee, count: number): Call | Promise<Call>;
}

export interface Sweep {
  /** On the command line, and of the figure's file. */
  name: string;
  title: string;
  /** What is counted. */
  of: string;
  counts: readonly number[];
  series: readonly GrowthSeries[];
}

const HOUR_MS = 3_600_000;
const PLENTY = 1e9;

/** Places at random, the same in each process; a power of two of them. */
function places(count: number): Int32Array {
  const random = seededRandom(1);
  return Int32Array.from({ length: 2 ** 20 }, () => Math.floor(random() * count));
}

/** Calls `use` with a random place below `count` each time. */
function atRandom(count: number, use: (place: number) => void): Call {
  const order = places(count);
  let i = 0;
  return () => {
    use(order[i] as number);
    i = (i + 1) & (order.length - 1);
  };
}

const keys: Sweep = {
  name: 'keys',
  title: 'A keyed rate limit, by the number of keys',
  of: 'keys',
  counts: [1e2, 1e3, 1e4, 1e5, 1e6],
  series: [
    {
      name: 'keyedRateLimiter',
      setup(callee, count) {
        const names = Array.from({ length: count }, (_, i) => `user-${i}`);
        const limiter = keyedRateLimiter({ limit: PLENTY, windowMs: HOUR_MS, maxKeys: count });
        for (const key of names) limiter.tryAcquire({ key });
        return atRandom(count, (place) => {
          if (limiter.tryAcquire({ key: names[place] as string })) callee.reach();
        });
      },
    },
    {
      name: 'Map.get + slot + clock',
      isFloor: true,
      setup(callee, count) {
        const names = Array.from({ length: count }, (_, i) => `user-${i}`);
        // Strings of its own, as those of requests are.
        const slots = new Map(names.map((_, slot) => [`user-${slot}`, slot]));
        const last = new Float64Array(count);
        return atRandom(count, (place) => {
          last[slots.get(names[place] as string) as number] = performance.now();
          callee.reach();
        });
      },
    },
  ],
};

const gates: Sweep = {
  name: 'gates',
  title: 'A pipeline, by the number of its gates',
  of: 'gates',
  counts: [1, 2, 4, 8, 16],
  series: [
    {
      name: 'breakers and rate limiters by turns',
      setup({ up }, count) {
        const made = Array.from(
          { length: count },
          (_, i): Gate => (i % 2 === 0 ? circuitBreaker() : rateLimiter({ limit: PLENTY, windowMs: 1_000 })),
        );
        const guarded = pipeline(...made);
        return () => guarded.execute(up);
      },
    },
  ],
};

const calls: Sweep = {
  name: 'calls',
  title: 'A call through three policies, by the number of calls under way',
  of: 'calls under way',
  counts: [1, 10, 100, 1_000, 10_000, 100_000],
  series: [
    {
      name: 'breaker, concurrency limiter, timeout',
      setup({ up }, count) {
        const guarded = pipeline(
          circuitBreaker(),
          concurrencyLimiter({ load: () => 0 }),
          dynamicTimeout({ limitMs: HOUR_MS, maxMs: HOUR_MS }),
        );
        // The measured call is one of them.
        for (let i = 1; i < count; i++) void guarded.execute(() => new Promise(() => {}));
        return () => guarded.execute(up);
      },
    },
  ],
};

const timers: Sweep = {
  name: 'timers',
  title: 'Replacing one timer, by the number of timers that wait',
  of: 'waiting timers',
  counts: [1, 10, 1e2, 1e3, 1e4, 1e5, 1e6],
  series: [
    {
      name: 'the shared timer queue',
      setup(callee, count) {
        const random = seededRandom(2);
        // Times of their own for all, so that they belong all over the queue.
        const set = (): unknown => systemClock.setTimer(() => {}, HOUR_MS * (1 + random()));
        const waiting = Array.from({ length: count }, set);
        return atRandom(count, (place) => {
          systemClock.clearTimer(waiting[place]);
          waiting[place] = set();
          callee.reach();
        });
      },
    },
    {
      name: 'setTimeout + clearTimeout',
      isFloor: true,
      setup(callee, count) {
        const random = seededRandom(2);
        const set = () => setTimeout(() => {}, HOUR_MS * (1 + random()));
        const waiting = Array.from({ length: count }, set);
        return atRandom(count, (place) => {
          clearTimeout(waiting[place]);
          waiting[place] = set();
          callee.reach();
        });
      },
    },
  ],
};

const picking = (name: string, choice: 'smooth' | 'latency') => ({
  name,
  setup(callee: Callee, count: number): Call {
    const random = seededRandom(3);
    const instances = Array.from({ length: count }, (_, i) => ({ name: `instance-${i}`, weight: 1 + (i % 3) }));
    const made = balancer({ instances, choice, random });
    return () => {
      const instance = made.pick();
      callee.reach();
      made.report(instance, 'success', 5);
    };
  },
});

const instances: Sweep = {
  name: 'instances',
  title: 'Picking an instance and reporting on it, by the number of instances',
  of: 'instances',
  counts: [3, 10, 30, 100, 300, 1_000],
  series: [picking("choice: 'smooth'", 'smooth'), picking("choice: 'latency'", 'latency')],
};

const SLOT_BYTES = 64;
const BATCH = 32;

/** A thread that reads until the process ends; resolves when it does. */
function startReader(buffer: SharedArrayBuffer): Promise<void> {
  const worker = new Worker(new URL('./ring-reader.js', import.meta.url), { workerData: buffer });
  return new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject));
}

const readers: Sweep = {
  name: 'readers',
  title: 'A message of 64 bytes through the ring, by the number of reading threads',
  of: 'readers',
  counts: [1, 2, 4, 8],
  series: [
    {
      name: 'writeBatch of 32',
      async setup(callee, count) {
        const buffer = createRing({ capacity: 1_024, slotBytes: SLOT_BYTES });
        await Promise.all(Array.from({ length: count }, () => startReader(buffer)));
        const writer = ringWriter(buffer);
        const batch = Array.from({ length: BATCH }, () => new Uint8Array(SLOT_BYTES));
        let waiting = 0;
        return () => {
          callee.reach();
          if (++waiting < BATCH) return;
          // Again while the ring is full.
          while (waiting > 0) waiting -= writer.writeBatch(waiting === BATCH ? batch : batch.slice(0, waiting));
        };
      },
    },
  ],
};

export const sweeps: readonly Sweep[] = [keys, gates, calls, timers, instances, readers];
