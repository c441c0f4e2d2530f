import { ConsecutiveBreaker, circuitBreaker as cockatiel, handleAll, TimeoutStrategy, timeout, wrap } from 'cockatiel';
import { circuitBreaker, dynamicTimeout, pipeline } from 'evenkeel';
import { Timeout } from 'mollitia';
import Opossum from 'opossum';
import type { Group } from '../../kit/case.js';
import { thenAndClockFloor } from './floors.js';
import { mollitia, mollitiaBreaker } from './mollitia.js';
import { PEER_TIMEOUT_MS } from './timeout-success.js';

/** Both, around a callee that answers at once. */
export const breakerAndTimeout: Group = {
  name: 'breaker + timeout',
  cases: [
    thenAndClockFloor,
    {
      name: 'evenkeel',
      kind: 'ours',
      base: true,
      setup({ up }) {
        const guarded = pipeline(circuitBreaker(), dynamicTimeout({ limitMs: 500, maxMs: 1_000 }));
        return () => guarded.execute(up);
      },
    },
    {
      name: 'opossum, with timeout',
      kind: 'peer',
      setup({ up }) {
        const breaker = new Opossum(up, { timeout: PEER_TIMEOUT_MS });
        return () => breaker.fire();
      },
    },
    {
      name: 'cockatiel, cooperative',
      kind: 'peer',
      setup({ up }) {
        const breaker = cockatiel(handleAll, { halfOpenAfter: 10_000, breaker: new ConsecutiveBreaker(5) });
        const policy = wrap(breaker, timeout(PEER_TIMEOUT_MS, TimeoutStrategy.Cooperative));
        return () => policy.execute(up);
      },
    },
    {
      name: 'mollitia, counting, with timeout',
      kind: 'peer',
      setup({ up }) {
        const circuit = mollitia(up, mollitiaBreaker(), new Timeout({ delay: PEER_TIMEOUT_MS }));
        return () => circuit.execute();
      },
    },
  ],
};
