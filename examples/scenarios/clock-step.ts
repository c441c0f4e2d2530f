/** The host's clock goes back by an hour in the middle of an outage, and in the middle of another one forward by two. */
import { circuitBreaker, dynamicTimeout, type Policy, pipeline } from 'evenkeel';
import type { Env, Expectations, Scenario } from 'evenkeel/testing';

const HOUR = 3_600_000;

/** As it stands in many a code base: five failures in a row open it for five seconds. */
function homeMade({ clock }: Env): Policy {
  let failures = 0;
  let openUntil = 0;
  return {
    name: 'homeMade',
    clock,
    async run(ctx, next) {
      if (clock.now() < openUntil) throw new Error('open');
      try {
        const value = await next(ctx);
        failures = 0;
        return value;
      } catch (error) {
        if (++failures >= 5) openUntil = clock.now() + 5_000;
        throw error;
      }
    },
  };
}

export const unprotected: Scenario = {
  name: 'Clock step',
  seed: 1,
  durationMs: 60_000,
  load: { arrivals: 'poisson', ratePerSecond: 100 },
  clockSteps: [
    { atMs: 20_000, byMs: -HOUR },
    { atMs: 40_000, byMs: 2 * HOUR },
  ],
  client: { timeoutMs: 1_000, pipeline: (env) => pipeline(homeMade(env)) },
  backend: {
    workers: 4,
    serviceTimeMs: { distribution: 'exponential', meanMs: 20 },
    schedule: [
      { atMs: 10_000, outage: 'refuse' },
      { atMs: 22_000, outage: 'none' },
      { atMs: 30_000, outage: 'refuse' },
      { atMs: 42_000, outage: 'none' },
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
  goodput: { max: 0, fromMs: 20_000, toMs: 42_000 },
};

export const expectations: Expectations = {
  // The back-end is down, and the breaker goes on throttling across the step.
  refusedBy: {
    circuit_open: [
      { min: 150, fromMs: 20_000, toMs: 22_000 },
      { min: 150, fromMs: 40_000, toMs: 42_000 },
    ],
  },
  goodputRatio: [
    { min: 0.99, fromMs: 24_000, toMs: 30_000 },
    { min: 0.99, fromMs: 44_000, toMs: 59_000 },
  ],
};
