import { type CommonOptions, type Pipeline, type Policy, pipeline } from '../core/index.js';
import { OptionReader } from '../core/options/validate.js';
import { type CircuitBreakerOptions, circuitBreaker } from '../policies/circuit-breaker/index.js';
import { type ConcurrencyLimiterOptions, concurrencyLimiter } from '../policies/concurrency-limiter/index.js';
import { type DynamicTimeoutOptions, dynamicTimeout } from '../policies/dynamic-timeout/index.js';
import { type RateLimiterOptions, rateLimiter } from '../policies/rate-limiter/index.js';
import { type RetryOptions, retry } from '../policies/retry/index.js';

/** Options of {@link standard}: those of each policy, `false` to leave it out; and those that all of them have. */
export interface StandardOptions extends Pick<CommonOptions, 'clock' | 'random' | 'observer' | 'classify'> {
  /** How long a try may take; depends on the downstream, so there is no default. */
  timeout: DynamicTimeoutOptions;
  /** The quota that the downstream has given. @default false */
  rateLimit?: RateLimiterOptions | false | undefined;
  /** How many calls may be in flight. @default { load: () => 1 } */
  concurrency?: ConcurrencyLimiterOptions | false | undefined;
  /** For calls that may be done twice. @default {} */
  retry?: RetryOptions | false | undefined;
  /** When to stop asking. @default {} */
  breaker?: CircuitBreakerOptions | false | undefined;
}

/**
 * The recommended pipeline around calls to one downstream, in the recommended order: what concerns the whole call
 * first, then the retry, then what concerns each try. docs/order.md has it written out, to be pasted when
 * options are not enough.
 *
 * @throws TypeError or RangeError for a bad option, in the name of the policy that it is for.
 */
export function standard(options: StandardOptions): Pipeline {
  const read = new OptionReader('standard', options);
  const common = {
    clock: read.whatever('clock'),
    random: read.whatever('random'),
    observer: read.whatever('observer'),
    classify: read.whatever('classify'),
  } as CommonOptions;
  const part = <O extends object>(name: string, byDefault: O | false): O | false => {
    const given = read.whatever(name, byDefault) as O | false;
    if (given === false) return false;
    // A value that is not an object is refused by its policy.
    return typeof given === 'object' && given !== null ? { ...common, ...given } : given;
  };
  const rateLimit = part<RateLimiterOptions>('rateLimit', false);
  const concurrency = part<ConcurrencyLimiterOptions>('concurrency', { load: () => 1 });
  const retries = part<RetryOptions>('retry', {});
  const breaker = part<CircuitBreakerOptions>('breaker', {});
  const timeout = part<DynamicTimeoutOptions>('timeout', {} as DynamicTimeoutOptions) as DynamicTimeoutOptions;
  read.done();

  const policies: Policy[] = [];
  if (rateLimit !== false) policies.push(rateLimiter(rateLimit));
  if (concurrency !== false) policies.push(concurrencyLimiter(concurrency));
  if (retries !== false) policies.push(retry(retries));
  if (breaker !== false) policies.push(circuitBreaker(breaker));
  policies.push(dynamicTimeout(timeout));
  return pipeline(...policies);
}
