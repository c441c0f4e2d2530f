/** Twice what the server can do, in four tiers. */
import { pipeline, type Tier, tierShedder } from 'evenkeel';
import type { Expectations, Scenario } from 'evenkeel/testing';

export const unprotected = {
  name: 'Tiers under overload',
  seed: 1,
  durationMs: 60_000,
  load: {
    arrivals: 'poisson',
    ratePerSecond: [
      { atMs: 0, ratePerSecond: 100 },
      { atMs: 20_000, ratePerSecond: 400 },
      { atMs: 40_000, ratePerSecond: 100 },
    ],
    tier: (random) => (1 + Math.floor(random() * 4)) as Tier,
    key: (random) => `user ${Math.floor(random() * 100_000)}`,
  },
  client: { timeoutMs: 500 },
  backend: { workers: 4, serviceTimeMs: 20 },
} satisfies Scenario;

export default {
  ...unprotected,
  backend: {
    ...unprotected.backend,
    pipeline: ({ clock, random, queueWaitMs }) =>
      pipeline(tierShedder({ clock, random, load: () => Math.min(1, queueWaitMs() / 200) })),
  },
} satisfies Scenario;

export const unprotectedExpectations: Expectations = {
  tiers: { 1: { goodputRatio: { max: 0.05, fromMs: 25_000, toMs: 59_000 } } },
};

export const expectations: Expectations = {
  tiers: {
    1: { goodputRatio: { min: 0.99 } },
    2: { goodputRatio: { min: 0.7, fromMs: 22_000, toMs: 40_000 } },
    4: { goodputRatio: { max: 0.05, fromMs: 22_000, toMs: 40_000 } },
  },
  goodputPerSecond: { min: 190, fromMs: 22_000, toMs: 40_000 },
  p99Ms: { max: 300 },
};
