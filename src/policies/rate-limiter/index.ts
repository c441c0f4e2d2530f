export { type RateLimitHeaders, type RateLimitHeadersOptions, rateLimitHeaders } from './headers.js';
export {
  type KeyedRateLimiter,
  type KeyedRateLimiterOptions,
  type KeyedRateLimiterUpdate,
  keyedRateLimiter,
} from './keyed-rate-limiter.js';
export type { RateLimiterSnapshot } from './rate-limit-gate.js';
export {
  type RateLimiter,
  type RateLimiterOptions,
  type RateLimiterUpdate,
  rateLimiter,
} from './rate-limiter.js';
