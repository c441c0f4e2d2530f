/** A third of the calls fail for twenty seconds, each by its own bad luck. */
import { pipeline, retry } from 'evenkeel';
import type { Expectations, Scenario } from 'evenkeel/testing';

export const unprotected: Scenario = {
  name: 'Partial failure',
  seed: 1,
  durationMs: 60_000,
  load: { arrivals: 'poisson', ratePerSecond: 100 },
  client: { timeoutMs: 1_000 },
  backend: {
    workers: 8,
    serviceTimeMs: { distribution: 'exponential', meanMs: 20 },
    schedule: [
      { atMs: 20_000, errorRatio: 0.1 },
      { atMs: 40_000, errorRatio: 0 },
    ],
  },
};

export default {
  ...unprotected,
  client: {
    timeoutMs: 1_000,
    pipeline: ({ clock, random }) => pipeline(retry({ maxRetries: 2, clock, random })),
  },
} satisfies Scenario;

export const unprotectedExpectations: Expectations = {
  goodputRatio: { max: 0.92, fromMs: 20_000, toMs: 40_000 },
};

export const expectations: Expectations = {
  goodputRatio: { min: 0.99, fromMs: 20_000, toMs: 40_000 },
  amplification: { max: 1.15, fromMs: 20_000, toMs: 40_000 },
};
