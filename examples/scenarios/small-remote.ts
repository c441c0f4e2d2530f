/** The local site is down for forty seconds; the remote one has a quarter of its room, and callers of its own. */
import { type Context, derive, type Policy, pipeline, type RetryBudget, retry, retryWindow } from 'evenkeel';
import type { Client, Expectations, Scenario } from 'evenkeel/testing';

/** First tries go to the local site, the others to the remote one; its own callers know no other. */
const site: Policy = {
  name: 'site',
  run: (ctx, next) =>
    next(derive(ctx, { instance: ctx.attempt === 0 && ctx.key === 'near' ? 'local' : 'remote' } as Partial<Context>)),
};

/** Calls that the local site fails go to the remote one, if `budget` has room for them. */
const failover = (budgetOf: (clock: Context['clock']) => RetryBudget[]): Client => ({
  timeoutMs: 500,
  pipeline: ({ clock, random }) =>
    pipeline(retry({ maxRetries: 1, backoff: () => 0, budget: budgetOf(clock), clock, random }), site),
});

export const unprotected = {
  name: 'The remote site is smaller than the local one',
  seed: 1,
  durationMs: 80_000,
  load: [
    { arrivals: 'poisson', ratePerSecond: 300, key: 'near' },
    { arrivals: 'poisson', ratePerSecond: 40, key: 'far' },
  ],
  client: failover(() => []),
  backend: [
    {
      name: 'local',
      workers: 8,
      serviceTimeMs: 20,
      schedule: [
        { atMs: 20_000, outage: 'refuse' },
        { atMs: 60_000, outage: 'none' },
      ],
    },
    { name: 'remote', workers: 2, serviceTimeMs: 20, queue: 100 },
  ],
} satisfies Scenario;

export default {
  ...unprotected,
  client: failover((clock) => [retryWindow({ clock })]),
} satisfies Scenario;

export const unprotectedExpectations: Expectations = {
  keys: { far: { goodputRatio: { max: 0.05, fromMs: 22_000, toMs: 60_000 } } },
  goodput: { max: 10, fromMs: 25_000, toMs: 60_000 },
};

export const expectations: Expectations = {
  keys: { far: { goodputRatio: { min: 0.9 } } },
  backends: { remote: { busyRatio: { min: 0.7, fromMs: 30_000, toMs: 60_000 } } },
};
