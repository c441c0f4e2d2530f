import { invalid } from '../../core/options/validate.js';
import type { RateLimiterSnapshot } from './rate-limit-gate.js';

/** Options of {@link rateLimitHeaders}. */
export interface RateLimitHeadersOptions {
  /** What the policy is called: printable ASCII. @default 'default' */
  name?: string | undefined;
  /** Of the refusal that is answered: `rejection.retryAfterMs`, ms. */
  retryAfterMs?: number | undefined;
}

/** Response headers by name. No interface: a type with an index signature takes this one. */
export type RateLimitHeaders = {
  'RateLimit-Policy': string;
  RateLimit: string;
  'Retry-After'?: string;
};

/** What a structured field's Integer can be at most. */
const MOST = 999_999_999_999_999;

const seconds = (ms: number): number => Math.min(MOST, Math.ceil(ms / 1_000));

/**
 * The headers of draft-ietf-httpapi-ratelimit-headers-10 for a limit, and `Retry-After` for a call that found it used
 * up. Seconds are whole ones, rounded up: who comes back then does not come too early.
 *
 * @throws TypeError or RangeError for a bad option.
 */
export function rateLimitHeaders(
  { limit, windowMs, remaining, resetMs }: RateLimiterSnapshot,
  { name = 'default', retryAfterMs }: RateLimitHeadersOptions = {},
): RateLimitHeaders {
  if (typeof name !== 'string') invalid('rateLimitHeaders', 'name', 'a string', name, true);
  if (!/^[ -~]+$/.test(name)) invalid('rateLimitHeaders', 'name', 'printable ASCII', name);
  const item = `"${name.replace(/["\\]/g, '\\$&')}"`;
  const reset = seconds(resetMs);
  const headers: RateLimitHeaders = {
    'RateLimit-Policy': `${item};q=${Math.min(MOST, limit)};w=${seconds(windowMs)}`,
    RateLimit: `${item};r=${Math.min(MOST, remaining)};t=${reset}`,
  };
  const waitMs = retryAfterMs ?? (remaining === 0 ? resetMs : 0);
  // Infinity: the call costs more than the limit, so there is nothing to come back for.
  if (waitMs > 0 && waitMs < Infinity) headers['Retry-After'] = String(Math.max(reset, seconds(waitMs)));
  return headers;
}
