/** Connections hang for twenty seconds, then they recover. */
import { circuitBreaker, dynamicTimeout, pipeline } from 'evenkeel';
import type { Expectations, Scenario } from 'evenkeel/testing';

export const unprotected: Scenario = {
  name: 'Total outage and recovery',
  seed: 1,
  durationMs: 60_000,
  load: { arrivals: 'poisson', ratePerSecond: 100 },
  client: { timeoutMs: 1_000, retries: 2 },
  backend: {
    workers: 4,
    serviceTimeMs: { distribution: 'exponential', meanMs: 20 },
    schedule: [
      { atMs: 20_000, outage: 'hang' },
      { atMs: 40_000, outage: 'none' },
    ],
  },
};

export default {
  ...unprotected,
  client: {
    pipeline: ({ clock, random }) =>
      pipeline(circuitBreaker({ clock, random }), dynamicTimeout({ limitMs: 250, maxMs: 1_000, clock })),
  },
} satisfies Scenario;

export const unprotectedExpectations: Expectations = {
  amplification: { min: 2.9, fromMs: 25_000, toMs: 35_000 },
  timeouts: { min: 1_700 },
};

export const expectations: Expectations = {
  tries: { min: 15, max: 30, fromMs: 30_000, toMs: 40_000 },
  timeouts: { max: 600 },
  goodputRatio: { min: 0.95, fromMs: 42_000, toMs: 59_000 },
};
