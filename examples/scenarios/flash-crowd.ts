/** Ten times as many users for ten seconds, at a server that can take twice the usual load. */
import { concurrencyLimiter, dynamicTimeout, pipeline } from 'evenkeel';
import type { Expectations, Scenario } from 'evenkeel/testing';

export const unprotected = {
  name: 'Flash crowd: ten times the load for ten seconds',
  seed: 1,
  durationMs: 60_000,
  load: {
    arrivals: 'poisson',
    ratePerSecond: [
      { atMs: 0, ratePerSecond: 100 },
      { atMs: 20_000, ratePerSecond: 1_000 },
      { atMs: 30_000, ratePerSecond: 100 },
    ],
  },
  client: { timeoutMs: 1_000 },
  backend: { workers: 4, serviceTimeMs: { distribution: 'exponential', meanMs: 20 } },
} satisfies Scenario;

export default {
  ...unprotected,
  client: {
    pipeline: ({ clock, random }) =>
      pipeline(
        concurrencyLimiter({ load: () => 1, queue: { maxSize: 100, maxWaitMs: 500 }, clock, random }),
        dynamicTimeout({ limitMs: 250, maxMs: 1_000, clock }),
      ),
  },
} satisfies Scenario;

export const unprotectedExpectations: Expectations = {
  goodputRatio: { max: 0.01, fromMs: 30_000, toMs: 59_000 },
};

export const expectations: Expectations = {
  // The back-end can do 200 per second.
  goodputPerSecond: { min: 180, fromMs: 20_000, toMs: 30_000 },
  goodputRatio: { min: 0.99, fromMs: 32_000, toMs: 59_000 },
  timeouts: { max: 0 },
};
