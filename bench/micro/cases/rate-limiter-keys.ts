import { keyedRateLimiter } from 'evenkeel';
import { MemoryStore, type Options } from 'express-rate-limit';
import type { Group } from '../../kit/case.js';

const KEYS = 1_000_000;
const WINDOW_MS = 600_000;

const keys = (): string[] => Array.from({ length: KEYS }, (_, i) => `user-${(i * 7_919) % KEYS}`);

/** Numbers of keys at random, the same in each process. */
function order(): Uint32Array {
  let state = 1;
  return Uint32Array.from({ length: KEYS }, () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0;
    return Math.floor((state >>> 0) * 2 ** -32 * KEYS);
  });
}

/** A million keys that are there already, revisited at random. */
export const rateLimitKeys: Group = {
  name: 'rate limit, 10^6 keys',
  cases: [
    {
      name: 'Map.get + slot',
      kind: 'floor',
      setup(callee) {
        const slots = new Map(keys().map((key, slot) => [key, slot]));
        const counts = new Float64Array(KEYS);
        const all = keys();
        const places = order();
        let i = 0;
        return () => {
          (counts[slots.get(all[places[i] as number] as string) as number] as number)++;
          i = (i + 1) % KEYS;
          callee.reach();
        };
      },
    },
    {
      name: 'evenkeel',
      kind: 'ours',
      setup(callee) {
        const limiter = keyedRateLimiter({ limit: KEYS, windowMs: WINDOW_MS, maxKeys: KEYS });
        const all = keys();
        for (const key of all) limiter.tryAcquire({ key });
        const places = order();
        let i = 0;
        return () => {
          if (limiter.tryAcquire({ key: all[places[i] as number] as string })) callee.reach();
          i = (i + 1) % KEYS;
        };
      },
    },
    {
      name: 'express-rate-limit MemoryStore',
      kind: 'peer',
      async setup(callee) {
        const store = new MemoryStore();
        store.init({ windowMs: WINDOW_MS } as Options);
        const all = keys();
        for (const key of all) await store.increment(key);
        const places = order();
        let i = 0;
        return async () => {
          const { totalHits } = await store.increment(all[places[i] as number] as string);
          i = (i + 1) % KEYS;
          if (totalHits <= KEYS) callee.reach();
        };
      },
    },
  ],
};
