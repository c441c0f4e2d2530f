/** Three slow seconds fill the queue; retries keep it full long after the cause has gone. */
import { circuitBreaker, dynamicTimeout, pipeline, retry } from 'evenkeel';
import type { Expectations, Scenario } from 'evenkeel/testing';

export const unprotected: Scenario = {
  name: 'Metastable failure, and the way out of it',
  seed: 1,
  durationMs: 80_000,
  load: { arrivals: 'poisson', ratePerSecond: 150 },
  client: { timeoutMs: 1_000, retries: 2 },
  backend: {
    workers: 4,
    serviceTimeMs: 20,
    schedule: [
      { atMs: 20_000, slowdown: 5 },
      { atMs: 23_000, slowdown: 1 },
    ],
  },
};

export default {
  ...unprotected,
  client: {
    pipeline: ({ clock, random }) =>
      pipeline(
        retry({ maxRetries: 2, clock, random }),
        circuitBreaker({ clock, random }),
        dynamicTimeout({ limitMs: 250, maxMs: 1_000, clock }),
      ),
  },
} satisfies Scenario;

export const unprotectedExpectations: Expectations = {
  goodputRatio: { max: 0.01, fromMs: 25_000, toMs: 79_000 },
};

export const expectations: Expectations = {
  // It does retry, at the trigger, and stops.
  amplification: { min: 1.5, max: 2, fromMs: 19_000, toMs: 23_000 },
  goodputRatio: { min: 0.99, fromMs: 30_000, toMs: 79_000 },
};
