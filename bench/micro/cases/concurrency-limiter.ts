import { Sema } from 'async-sema';
import { bulkhead } from 'cockatiel';
import { concurrencyLimiter, pipeline } from 'evenkeel';
import { Bulkhead } from 'mollitia';
import pLimit from 'p-limit';
import type { Case, Group } from '../../kit/case.js';
import { thenAndClockFloor } from './floors.js';
import { mollitia } from './mollitia.js';

const ROOM = 1_000;

const twoClockReads: Case = {
  name: '2 × performance.now',
  kind: 'floor',
  setup(callee) {
    const time = { startedAt: 0, endedAt: 0 };
    return () => {
      time.startedAt = performance.now();
      callee.reach();
      time.endedAt = performance.now();
    };
  },
};

/** A permit taken and given back by hand, which reads the clock twice. */
export const concurrencyPermit: Group = {
  name: 'concurrency permit',
  cases: [
    twoClockReads,
    {
      name: 'evenkeel, tryAcquire + release',
      kind: 'ours',
      setup(callee) {
        const limiter = concurrencyLimiter({ load: () => 1 });
        return () => {
          if (!limiter.tryAcquire()) return;
          callee.reach();
          limiter.release('success', 0.01);
        };
      },
    },
    {
      // Without a clock: its limit is a number that does not follow the callee.
      name: 'async-sema, tryAcquire + release',
      kind: 'peer',
      setup(callee) {
        const sema = new Sema(ROOM);
        return () => {
          const token: unknown = sema.tryAcquire();
          if (token === undefined) return;
          callee.reach();
          sema.release(token);
        };
      },
    },
  ],
};

/** A call under a limiter. */
export const concurrencySuccess: Group = {
  name: 'concurrency success',
  cases: [
    thenAndClockFloor,
    {
      name: 'evenkeel',
      kind: 'ours',
      setup({ up }) {
        const guarded = pipeline(concurrencyLimiter({ load: () => 1 }));
        return () => guarded.execute(up);
      },
    },
    {
      name: 'cockatiel bulkhead',
      kind: 'peer',
      setup({ up }) {
        const policy = bulkhead(ROOM);
        return () => policy.execute(up);
      },
    },
    {
      name: 'async-sema',
      kind: 'peer',
      setup({ up }) {
        const sema = new Sema(ROOM);
        return async () => {
          const token: unknown = await sema.acquire();
          try {
            await up();
          } finally {
            sema.release(token);
          }
        };
      },
    },
    {
      name: 'p-limit',
      kind: 'peer',
      setup({ up }) {
        const limit = pLimit(ROOM);
        return () => limit(up);
      },
    },
    {
      name: 'mollitia bulkhead',
      kind: 'peer',
      setup({ up }) {
        const circuit = mollitia(up, new Bulkhead({ concurrentSize: ROOM, queueSize: 0 }));
        return () => circuit.execute();
      },
    },
  ],
};

/** A fixed limit with room: peers only count. */
export const concurrencyFixed: Group = {
  name: 'fixed concurrency limit, free',
  cases: [
    thenAndClockFloor,
    {
      name: 'evenkeel',
      kind: 'ours',
      base: true,
      setup({ up }) {
        const guarded = pipeline(concurrencyLimiter({ load: () => 1, minLimit: ROOM, maxLimit: ROOM }));
        return () => guarded.execute(up);
      },
    },
    {
      name: 'cockatiel bulkhead',
      kind: 'peer',
      setup({ up }) {
        const policy = bulkhead(ROOM);
        return () => policy.execute(up);
      },
    },
  ],
};

const TASKS = 64;
const AT_A_TIME = 8;

/** `TASKS` of them at once, until all are done. */
const allOf = (task: () => Promise<void>) => (): Promise<unknown> => Promise.all(Array.from({ length: TASKS }, task));

/** More tasks than may run: most of them wait in a queue. A figure is that of one task. */
export const concurrencyQueue: Group = {
  name: `${TASKS} tasks through a limit of ${AT_A_TIME}`,
  cases: [
    { name: 'Promise.all', kind: 'floor', operations: TASKS, setup: ({ up }) => allOf(up) },
    {
      name: 'evenkeel',
      kind: 'ours',
      base: true,
      operations: TASKS,
      setup({ up }) {
        const queue = { maxSize: TASKS, maxWaitMs: 1_000 };
        const guarded = pipeline(
          concurrencyLimiter({ load: () => 1, minLimit: AT_A_TIME, maxLimit: AT_A_TIME, queue }),
        );
        return allOf(() => guarded.execute(up));
      },
    },
    {
      name: 'cockatiel bulkhead',
      kind: 'peer',
      operations: TASKS,
      setup({ up }) {
        const policy = bulkhead(AT_A_TIME, TASKS);
        return allOf(() => policy.execute(up));
      },
    },
    {
      name: 'p-limit',
      kind: 'peer',
      operations: TASKS,
      setup({ up }) {
        const limit = pLimit(AT_A_TIME);
        return allOf(() => limit(up));
      },
    },
  ],
};
