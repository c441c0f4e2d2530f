import { type RateLimiterOptions, rateLimiter } from 'evenkeel';
import { RateLimiter } from 'limiter';
import { Ratelimit, RatelimitError } from 'mollitia';
import { RateLimiterMemory } from 'rate-limiter-flexible';
import type { Case, Group } from '../../kit/case.js';
import { clockFloor } from './floors.js';
import { mollitia } from './mollitia.js';

/** More than any run gets through. */
const PLENTY = 1e9;
const ALGORITHMS = ['buckets', 'log', 'counter'] as const;

const admitted = (algorithm: NonNullable<RateLimiterOptions['algorithm']>): Case => ({
  name: `evenkeel, ${algorithm}`,
  kind: 'ours',
  setup(callee) {
    // A short window for the log, which would be as long as the run otherwise.
    const limiter = rateLimiter({ limit: PLENTY, windowMs: algorithm === 'log' ? 10 : 1_000, algorithm });
    return () => {
      if (limiter.tryAcquire()) callee.reach();
    };
  },
});

const refused = (algorithm: NonNullable<RateLimiterOptions['algorithm']>): Case => ({
  name: `evenkeel, ${algorithm}`,
  kind: 'ours',
  refused: (taken) => taken === false,
  setup(callee) {
    const limiter = rateLimiter({ limit: 1, windowMs: PLENTY, algorithm });
    return () => {
      if (!limiter.tryAcquire()) return false;
      callee.reach();
      return true;
    };
  },
});

/** One key, never over the limit. */
export const rateLimitAdmitted: Group = {
  name: 'rate limit admitted',
  cases: [
    {
      name: 'performance.now',
      kind: 'floor',
      setup(callee) {
        return () => {
          callee.reach();
          return performance.now();
        };
      },
    },
    ...ALGORITHMS.map(admitted),
    {
      name: 'limiter',
      kind: 'peer',
      setup(callee) {
        const limiter = new RateLimiter({ tokensPerInterval: PLENTY, interval: 'second' });
        return () => {
          if (limiter.tryRemoveTokens(1)) callee.reach();
        };
      },
    },
    {
      name: 'rate-limiter-flexible',
      kind: 'peer',
      setup(callee) {
        const limiter = new RateLimiterMemory({ points: PLENTY, duration: 1 });
        return async () => {
          await limiter.consume('key');
          callee.reach();
        };
      },
    },
    {
      name: 'mollitia',
      kind: 'peer',
      setup({ up }) {
        // A log, too.
        const circuit = mollitia(up, new Ratelimit({ limitForPeriod: PLENTY, limitPeriod: 10 }));
        return () => circuit.execute();
      },
    },
  ],
};

/** One key, over the limit all the time. */
export const rateLimitRefused: Group = {
  name: 'rate limit refused',
  cases: [
    clockFloor,
    ...ALGORITHMS.map(refused),
    {
      name: 'limiter',
      kind: 'peer',
      refused: (taken) => taken === false,
      setup(callee) {
        const limiter = new RateLimiter({ tokensPerInterval: 1, interval: PLENTY });
        return () => {
          if (!limiter.tryRemoveTokens(1)) return false;
          callee.reach();
          return true;
        };
      },
    },
    {
      name: 'rate-limiter-flexible',
      kind: 'peer',
      refused: (result) => (result as { remainingPoints?: number }).remainingPoints === 0,
      setup(callee) {
        const limiter = new RateLimiterMemory({ points: 1, duration: 1_000_000 });
        return async () => {
          await limiter.consume('key');
          callee.reach();
        };
      },
    },
    {
      name: 'mollitia',
      kind: 'peer',
      refused: (error) => error instanceof RatelimitError,
      setup({ up }) {
        const circuit = mollitia(up, new Ratelimit({ limitForPeriod: 1, limitPeriod: PLENTY }));
        return () => circuit.execute();
      },
    },
  ],
};
