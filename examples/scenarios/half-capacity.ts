/** Four of eight workers are gone for twenty seconds, and callers try again. */
import { concurrencyLimiter, dynamicTimeout, pipeline } from 'evenkeel';
import type { Expectations, Scenario } from 'evenkeel/testing';

export const unprotected: Scenario = {
  name: 'The back-end loses half its capacity',
  seed: 1,
  durationMs: 80_000,
  load: { arrivals: 'poisson', ratePerSecond: 300 },
  client: { timeoutMs: 500, retries: 2 },
  backend: {
    workers: 8,
    serviceTimeMs: { distribution: 'exponential', meanMs: 20 },
    schedule: [
      { atMs: 20_000, workers: 4 },
      { atMs: 40_000, workers: 8 },
    ],
  },
};

export default {
  ...unprotected,
  client: {
    pipeline: ({ clock, random }) =>
      pipeline(
        concurrencyLimiter({ load: () => 1, queue: { maxSize: 100, maxWaitMs: 500 }, clock, random }),
        dynamicTimeout({ limitMs: 250, maxMs: 500, clock }),
      ),
  },
} satisfies Scenario;

export const unprotectedExpectations: Expectations = {
  goodputRatio: [
    { max: 0.2, fromMs: 20_000, toMs: 40_000 },
    { max: 0.01, fromMs: 45_000, toMs: 79_000 },
  ],
};

export const expectations: Expectations = {
  goodputRatio: [
    { min: 0.6, fromMs: 20_000, toMs: 40_000 },
    { min: 0.98, fromMs: 45_000, toMs: 79_000 },
  ],
  p99Ms: { max: 520 },
};
