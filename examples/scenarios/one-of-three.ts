/** One of three instances dies for twenty seconds. */
import { balancer, pipeline } from 'evenkeel';
import type { Backend, Expectations, Scenario } from 'evenkeel/testing';

const instance = (name: string): Backend => ({
  name,
  workers: 4,
  serviceTimeMs: { distribution: 'exponential', meanMs: 20 },
});

export const unprotected = {
  name: 'One of three instances is dead',
  seed: 1,
  durationMs: 60_000,
  load: { arrivals: 'poisson', ratePerSecond: 200 },
  client: { timeoutMs: 1_000 },
  backend: [
    instance('a'),
    instance('b'),
    {
      ...instance('c'),
      schedule: [
        { atMs: 20_000, outage: 'refuse' },
        { atMs: 40_000, outage: 'none' },
      ],
    },
  ],
} satisfies Scenario;

export default {
  ...unprotected,
  client: {
    timeoutMs: 1_000,
    pipeline: ({ clock, random, instances }) => pipeline(balancer({ instances, clock, random }).policy()),
  },
} satisfies Scenario;

export const unprotectedExpectations: Expectations = {
  goodputRatio: { max: 0.7, fromMs: 20_000, toMs: 40_000 },
};

export const expectations: Expectations = {
  goodputRatio: { min: 0.99 },
  backends: {
    c: {
      received: [
        { max: 20, fromMs: 21_000, toMs: 40_000 },
        // Slowly, then its third: 66 per second.
        { min: 100, max: 450, fromMs: 40_000, toMs: 50_000 },
        { min: 300, fromMs: 55_000, toMs: 60_000 },
      ],
    },
  },
};
