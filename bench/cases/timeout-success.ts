import { timeout as cockatiel, TimeoutStrategy } from 'cockatiel';
import { dynamicTimeout, pipeline } from 'evenkeel';
import Opossum from 'opossum';
import pTimeout from 'p-timeout';
import type { Group } from '../case.js';
import { thenAndClockFloor } from './floors.js';

/** A timeout around a callee that answers at once. */
export const timeoutSuccess: Group = {
  name: 'timeout success',
  cases: [
    thenAndClockFloor,
    {
      name: 'evenkeel',
      kind: 'ours',
      setup({ up }) {
        const guarded = pipeline(dynamicTimeout({ limitMs: 500, maxMs: 1_000 }));
        return () => guarded.execute(up);
      },
    },
    {
      name: 'opossum, its timeout only',
      kind: 'peer',
      setup({ up }) {
        const breaker = new Opossum(up, { timeout: 1_000, volumeThreshold: Number.MAX_SAFE_INTEGER });
        return () => breaker.fire();
      },
    },
    {
      name: 'cockatiel, cooperative',
      kind: 'peer',
      setup({ up }) {
        const policy = cockatiel(1_000, TimeoutStrategy.Cooperative);
        return () => policy.execute(up);
      },
    },
    {
      name: 'cockatiel, aggressive',
      kind: 'peer',
      setup({ up }) {
        const policy = cockatiel(1_000, TimeoutStrategy.Aggressive);
        return () => policy.execute(up);
      },
    },
    {
      name: 'p-timeout',
      kind: 'peer',
      setup:
        ({ up }) =>
        () =>
          pTimeout(up(), { milliseconds: 1_000 }),
    },
  ],
};
