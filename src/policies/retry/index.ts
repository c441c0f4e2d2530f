export {
  type Failover,
  type FailoverOptions,
  type FailoverSnapshot,
  type FailoverUpdate,
  failover,
  type Site,
} from '../failover/failover.js';
export {
  type Fallback,
  type FallbackFunction,
  type FallbackOptions,
  type FallbackSnapshot,
  fallback,
} from '../fallback/fallback.js';
export { type Hedge, type HedgeOptions, type HedgeSnapshot, type HedgeUpdate, hedge } from '../hedge/hedge.js';
export type { RetryBudget } from '../retry-budget/budget.js';
export {
  type RatioBudget,
  type RatioBudgetOptions,
  type RatioBudgetSnapshot,
  ratioBudget,
} from '../retry-budget/ratio-budget.js';
export {
  type RetryWindow,
  type RetryWindowOptions,
  type RetryWindowSnapshot,
  retryWindow,
} from '../retry-budget/retry-window.js';
export { type TokenBudget, type TokenBudgetOptions, tokenBudget } from '../retry-budget/token-budget.js';
export {
  type Backoff,
  type DecorrelatedBackoffOptions,
  decorrelatedBackoff,
  type ExponentialBackoffOptions,
  exponentialBackoff,
} from './backoff.js';
export { earlierErrors } from './earlier-errors.js';
export {
  defaultRetryOn,
  type Retry,
  type RetryOptions,
  type RetrySnapshot,
  type RetryUpdate,
  retry,
} from './retry.js';
export { retryAfterOf } from './retry-after.js';
