import { timeout as cockatiel, TimeoutStrategy } from 'cockatiel';
import { dynamicTimeout, pipeline } from 'evenkeel';
import { Timeout } from 'mollitia';
import Opossum from 'opossum';
import pTimeout from 'p-timeout';
import type { Group } from '../../kit/case.js';
import { thenAndClockFloor } from './floors.js';
import { mollitia } from './mollitia.js';

/** Not 1,000: opossum has an interval of that length, which makes each of its timers of that length cheaper. */
export const PEER_TIMEOUT_MS = 500;
const HOUR_MS = 3_600_000;
const UNDER_WAY = 100;

const startCallsThatHang = (guarded: (callee: () => Promise<void>) => unknown): void => {
  for (let i = 0; i < UNDER_WAY; i++) guarded(() => new Promise(() => {}));
};

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
        const breaker = new Opossum(up, { timeout: PEER_TIMEOUT_MS, volumeThreshold: Number.MAX_SAFE_INTEGER });
        return () => breaker.fire();
      },
    },
    {
      name: 'cockatiel, cooperative',
      kind: 'peer',
      setup({ up }) {
        const policy = cockatiel(PEER_TIMEOUT_MS, TimeoutStrategy.Cooperative);
        return () => policy.execute(up);
      },
    },
    {
      name: 'cockatiel, aggressive',
      kind: 'peer',
      setup({ up }) {
        const policy = cockatiel(PEER_TIMEOUT_MS, TimeoutStrategy.Aggressive);
        return () => policy.execute(up);
      },
    },
    {
      name: 'p-timeout',
      kind: 'peer',
      setup:
        ({ up }) =>
        () =>
          pTimeout(up(), { milliseconds: PEER_TIMEOUT_MS }),
    },
    {
      name: 'mollitia',
      kind: 'peer',
      setup({ up }) {
        const circuit = mollitia(up, new Timeout({ delay: PEER_TIMEOUT_MS }));
        return () => circuit.execute();
      },
    },
  ],
};

/** … while other calls wait for theirs: then the host keeps its list of timers of a length, which helps opossum. */
export const timeoutWithOthers: Group = {
  name: `timeout success, ${UNDER_WAY} calls under way`,
  cases: [
    thenAndClockFloor,
    {
      name: 'evenkeel',
      kind: 'ours',
      setup({ up }) {
        const guarded = pipeline(dynamicTimeout({ limitMs: HOUR_MS, maxMs: HOUR_MS }));
        startCallsThatHang((callee) => guarded.execute(callee));
        return () => guarded.execute(up);
      },
    },
    {
      name: 'opossum, its timeout only',
      kind: 'peer',
      setup({ up }) {
        const options = { timeout: HOUR_MS, volumeThreshold: Number.MAX_SAFE_INTEGER };
        startCallsThatHang((callee) => new Opossum(callee, options).fire());
        const breaker = new Opossum(up, options);
        return () => breaker.fire();
      },
    },
  ],
};
