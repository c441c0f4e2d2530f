import {
  bulkhead,
  circuitBreaker as cockatiel,
  ExponentialBackoff,
  handleAll,
  retry as retryOf,
  SamplingBreaker,
  TimeoutStrategy,
  timeout,
  wrap,
} from 'cockatiel';
import { Bulkhead, Ratelimit, Retry, Timeout } from 'mollitia';
import Opossum from 'opossum';
import type { Group } from '../../kit/case.js';
import { fivePolicyPipeline } from '../../kit/five-policies.js';
import { thenAndClockFloor } from './floors.js';
import { mollitia, mollitiaBreaker } from './mollitia.js';
import { PEER_TIMEOUT_MS } from './timeout-success.js';

/** Rate limit, concurrency, retry, breaker and timeout around a callee that answers at once. */
export const fivePolicies: Group = {
  name: 'five policies',
  cases: [
    thenAndClockFloor,
    {
      name: 'evenkeel',
      kind: 'ours',
      base: true,
      setup({ up }) {
        const guarded = fivePolicyPipeline(1_000);
        return () => guarded.execute(up);
      },
    },
    {
      name: 'opossum, breaker, timeout, capacity',
      kind: 'peer',
      setup({ up }) {
        const breaker = new Opossum(up, { timeout: PEER_TIMEOUT_MS, capacity: 1_000 });
        return () => breaker.fire();
      },
    },
    {
      name: 'cockatiel, retry, breaker, bulkhead, timeout',
      kind: 'peer',
      setup({ up }) {
        const breaker = cockatiel(handleAll, {
          halfOpenAfter: 10_000,
          breaker: new SamplingBreaker({ threshold: 0.5, duration: 10_000 }),
        });
        const policy = wrap(
          retryOf(handleAll, { maxAttempts: 1, backoff: new ExponentialBackoff() }),
          breaker,
          bulkhead(1_000, 0),
          timeout(PEER_TIMEOUT_MS, TimeoutStrategy.Aggressive),
        );
        return () => policy.execute(up);
      },
    },
    {
      name: 'mollitia, all five',
      kind: 'peer',
      setup({ up }) {
        const circuit = mollitia(
          up,
          // A log, of which no more than the last 10 ms is kept.
          new Ratelimit({ limitForPeriod: 2 ** 50, limitPeriod: 10 }),
          new Bulkhead({ concurrentSize: 1_000, queueSize: 0 }),
          new Retry({ attempts: 1 }),
          mollitiaBreaker(),
          new Timeout({ delay: PEER_TIMEOUT_MS }),
        );
        return () => circuit.execute();
      },
    },
  ],
};
