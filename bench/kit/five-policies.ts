import {
  type Context,
  circuitBreaker,
  concurrencyLimiter,
  dynamicTimeout,
  type Pipeline,
  pipeline,
  rateLimiter,
  retry,
} from 'evenkeel';

/** Rate limit, concurrency, retry, breaker and timeout. @param minLimit how many calls may be under way in any case */
export const fivePolicyPipeline = (minLimit: number): Pipeline<Context> =>
  pipeline(
    rateLimiter({ limit: 2 ** 50, windowMs: 1_000 }),
    concurrencyLimiter({ load: () => 1, minLimit }),
    retry(),
    circuitBreaker(),
    dynamicTimeout({ limitMs: 500, maxMs: 1_000 }),
  );
