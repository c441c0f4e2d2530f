/** The service time goes from 20 to 50 ms for twenty seconds, under 200 calls per second. */
import { concurrencyLimiter, dynamicTimeout, pipeline } from 'evenkeel';
import type { Expectations, Scenario } from 'evenkeel/testing';

export const unprotected: Scenario = {
  name: 'Slow-down from 20 to 50 ms under 200 calls per second',
  seed: 1,
  durationMs: 60_000,
  load: { arrivals: 'poisson', ratePerSecond: 200 },
  client: { timeoutMs: 1_000 },
  backend: {
    workers: 5,
    serviceTimeMs: 20,
    schedule: [
      { atMs: 20_000, serviceTimeMs: 50 },
      { atMs: 40_000, serviceTimeMs: 20 },
    ],
  },
};

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
  goodputRatio: [
    { max: 0.05, fromMs: 21_000, toMs: 40_000 },
    { max: 0.01, fromMs: 40_000, toMs: 59_000 },
  ],
};

export const expectations: Expectations = {
  goodputRatio: [
    { min: 0.45, fromMs: 21_000, toMs: 40_000 },
    { min: 0.99, fromMs: 40_000, toMs: 59_000 },
  ],
  timeouts: { max: 0 },
};
