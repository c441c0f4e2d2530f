/** Ten tenants share a server, and one of them calls forty times as often as the others. */
import { keyedRateLimiter, pipeline } from 'evenkeel';
import type { Expectations, ExpectedFigures, Scenario } from 'evenkeel/testing';

export const unprotected = {
  name: 'A noisy tenant',
  seed: 1,
  durationMs: 60_000,
  load: [
    { arrivals: 'poisson', ratePerSecond: 90, key: (random) => `tenant ${1 + Math.floor(random() * 9)}` },
    { arrivals: 'poisson', ratePerSecond: 400, key: 'noisy', fromMs: 20_000, toMs: 40_000 },
  ],
  client: { timeoutMs: 500 },
  backend: { workers: 4, serviceTimeMs: 20, queue: 100 },
} satisfies Scenario;

export default {
  ...unprotected,
  client: {
    timeoutMs: 500,
    // In the gateway, in front of the server.
    pipeline: ({ clock }) => pipeline(keyedRateLimiter({ limit: 40, windowMs: 1_000, clock })),
  },
} satisfies Scenario;

/** What applies to each of the nine. */
const theOthers = (expected: ExpectedFigures): Record<string, ExpectedFigures> =>
  Object.fromEntries(Array.from({ length: 9 }, (_, i) => [`tenant ${i + 1}`, expected]));

export const unprotectedExpectations: Expectations = {
  keys: theOthers({ goodputRatio: { max: 0.05, fromMs: 22_000, toMs: 39_000 } }),
};

export const expectations: Expectations = {
  keys: {
    ...theOthers({ goodputRatio: { min: 0.99 } }),
    noisy: { goodputPerSecond: { min: 35, max: 41, fromMs: 20_000, toMs: 40_000 } },
  },
};
