import { fallback as cockatiel, handleAll } from 'cockatiel';
import { failover, fallback, hedge, pipeline } from 'evenkeel';
import type { Group } from '../../kit/case.js';
import { thenAndClockFloor, thenFloor } from './floors.js';

/** A second attempt, or a second site, that the call does not come to need. No peer has one. */
export const hedgeSuccess: Group = {
  name: 'hedge success',
  cases: [
    thenAndClockFloor,
    {
      name: 'evenkeel, afterMs',
      kind: 'ours',
      setup({ up }) {
        const guarded = pipeline(hedge({ afterMs: 500 }));
        return () => guarded.execute(up);
      },
    },
    {
      name: 'evenkeel, percentile',
      kind: 'ours',
      setup({ up }) {
        const guarded = pipeline(
          hedge({ percentile: 0.95, budget: { onRequest() {}, tryRetry: () => false, onRetryDone() {} } }),
        );
        return () => guarded.execute(up);
      },
    },
    {
      name: 'evenkeel, failover',
      kind: 'ours',
      setup({ up }) {
        const sites = failover({ local: up, remote: up });
        return () => sites.execute();
      },
    },
  ],
};

/** A fallback around a callee that answers at once. */
export const fallbackSuccess: Group = {
  name: 'fallback success',
  cases: [
    thenFloor,
    {
      name: 'evenkeel',
      kind: 'ours',
      setup({ up }) {
        const guarded = pipeline(fallback(() => undefined));
        return () => guarded.execute(up);
      },
    },
    {
      name: 'cockatiel',
      kind: 'peer',
      setup({ up }) {
        const policy = cockatiel(handleAll, undefined);
        return () => policy.execute(up);
      },
    },
  ],
};
