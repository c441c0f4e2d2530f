/** A back-end that is quick on average and slow now and then; later it is slow altogether. */
import { dynamicTimeout, pipeline } from 'evenkeel';
import type { Expectations, Scenario } from 'evenkeel/testing';

export const unprotected: Scenario = {
  name: 'Latency jitter, and the dynamic timeout',
  seed: 1,
  durationMs: 60_000,
  load: { arrivals: 'poisson', ratePerSecond: 100 },
  // A fixed limit: tight, so that an outage does not hold all callers up.
  client: { timeoutMs: 100 },
  backend: {
    workers: Infinity,
    serviceTimeMs: { distribution: 'lognormal', medianMs: 20, p99Ms: 400 },
    schedule: [
      { atMs: 30_000, slowdown: 20 },
      { atMs: 45_000, slowdown: 1 },
    ],
  },
};

export default {
  ...unprotected,
  client: { pipeline: ({ clock }) => pipeline(dynamicTimeout({ limitMs: 100, maxMs: 1_000, clock })) },
} satisfies Scenario;

export const unprotectedExpectations: Expectations = {
  goodputRatio: { max: 0.92, toMs: 30_000 },
  maxMs: { max: 101, fromMs: 32_000, toMs: 45_000 },
};

export const expectations: Expectations = {
  goodputRatio: { min: 0.98, toMs: 30_000 },
  // As strict as the fixed one.
  maxMs: { max: 101, fromMs: 32_000, toMs: 45_000 },
};
