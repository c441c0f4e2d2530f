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
import Opossum from 'opossum';
import type { Group } from '../case.js';
import { fivePolicyPipeline } from '../five-policies.js';
import { thenAndClockFloor } from './floors.js';
import { PEER_TIMEOUT_MS } from './timeout-success.js';

/** Rate limit, concurrency, retry, breaker and timeout around a callee that answers at once. */
export const fivePolicies: Group = {
  name: 'five policies',
  cases: [
    thenAndClockFloor,
    {
      name: 'evenkeel',
      kind: 'ours',
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
  ],
};
