import { retry as cockatiel, ExponentialBackoff, handleAll } from 'cockatiel';
import { type Context, type Next, pipeline, retry } from 'evenkeel';
import { Retry } from 'mollitia';
import pRetry from 'p-retry';
import type { Group } from '../../kit/case.js';
import { thenAndClockFloor, thenFloor } from './floors.js';
import { mollitia } from './mollitia.js';

/** A retry around a callee that answers at once. */
export const retrySuccess: Group = {
  name: 'retry success',
  cases: [
    thenFloor,
    thenAndClockFloor,
    {
      name: 'evenkeel',
      kind: 'ours',
      floor: thenAndClockFloor.name,
      setup({ up }) {
        const guarded = pipeline(retry());
        return () => guarded.execute(up);
      },
    },
    {
      // What the policy itself takes: the clock is read and the context made by the pipeline, once for all of its policies.
      name: 'evenkeel, the policy alone',
      kind: 'ours',
      async setup({ up }) {
        const policy = retry();
        const ctx = await pipeline().execute((given) => given);
        const next = up as Next<Context, unknown>;
        return () => policy.run(ctx, next);
      },
    },
    {
      name: 'cockatiel',
      kind: 'peer',
      setup({ up }) {
        const policy = cockatiel(handleAll, { maxAttempts: 1, backoff: new ExponentialBackoff() });
        return () => policy.execute(up);
      },
    },
    {
      name: 'p-retry',
      kind: 'peer',
      setup:
        ({ up }) =>
        () =>
          pRetry(up, { retries: 1 }),
    },
    {
      name: 'mollitia',
      kind: 'peer',
      setup({ up }) {
        const circuit = mollitia(up, new Retry({ attempts: 1 }));
        return () => circuit.execute();
      },
    },
  ],
};
