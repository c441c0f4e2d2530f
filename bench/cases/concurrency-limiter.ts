import { bulkhead } from 'cockatiel';
import { concurrencyLimiter, pipeline } from 'evenkeel';
import type { Case, Group } from '../case.js';
import { thenAndClockFloor } from './floors.js';

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
        const policy = bulkhead(1_000);
        return () => policy.execute(up);
      },
    },
  ],
};
