export {
  type Backoff,
  type DecorrelatedBackoffOptions,
  decorrelatedBackoff,
  type ExponentialBackoffOptions,
  exponentialBackoff,
} from './backoff.js';
export type { RetryBudget } from './budget.js';
export { earlierErrors } from './earlier-errors.js';
export {
  type Failover,
  type FailoverOptions,
  type FailoverSnapshot,
  type FailoverUpdate,
  failover,
  type Site,
} from './failover.js';
export {
  type Fallback,
  type FallbackFunction,
  type FallbackOptions,
  type FallbackSnapshot,
  fallback,
} from './fallback.js';
export { type Hedge, type HedgeOptions, type HedgeSnapshot, type HedgeUpdate, hedge } from './hedge.js';
export { type RatioBudget, type RatioBudgetOptions, type RatioBudgetSnapshot, ratioBudget } from './ratio-budget.js';
export {
  defaultRetryOn,
  type Retry,
  type RetryOptions,
  type RetrySnapshot,
  type RetryUpdate,
  retry,
} from './retry.js';
export { retryAfterOf } from './retry-after.js';
export { type RetryWindow, type RetryWindowOptions, type RetryWindowSnapshot, retryWindow } from './retry-window.js';
export { type TokenBudget, type TokenBudgetOptions, tokenBudget } from './token-budget.js';
