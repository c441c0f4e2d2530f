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
