/** When the downstream asks to be called again, as far as an error or an answer says so. */

import { type HeaderSource, headerValue } from '../../core/options/headers.js';
import { wallTime } from '../../core/time/clock.js';

/**
 * The wait that `result`, an error or an answer, asks for, ms; undefined = it says nothing. Looks at `retryAfterMs`, as
 * a refusal has, and at the header `Retry-After` in `headers` and in `response.headers`, where HTTP clients put it.
 */
export function retryAfterOf(result: unknown): number | undefined {
  if (typeof result !== 'object' || result === null) return undefined;
  const { retryAfterMs, headers, response } = result as {
    retryAfterMs?: unknown;
    headers?: HeaderSource;
    response?: { headers?: HeaderSource } | null;
  };
  if (typeof retryAfterMs === 'number') return retryAfterMs >= 0 ? retryAfterMs : undefined;
  return fromHeaders(headers) ?? fromHeaders(response?.headers);
}

/** RFC 9110, 10.2.3: seconds, or a date. */
function fromHeaders(headers: HeaderSource | undefined): number | undefined {
  if (headers === undefined) return undefined;
  const value = String(headerValue(headers, 'retry-after')).trim();
  if (/^\d+(\.\d+)?$/.test(value)) return Number(value) * 1_000;
  const at = dateOf(value);
  if (at === undefined) return undefined;
  // The sender's own time, where it says it, saves us the difference between two hosts' clocks.
  return Math.max(0, at - (dateOf(String(headerValue(headers, 'date'))) ?? wallTime()));
}

/** Undefined for what is not a time, such as 'undefined'. */
function dateOf(text: string): number | undefined {
  const at = / GMT$/.test(text) ? Date.parse(text) : NaN;
  return Number.isNaN(at) ? undefined : at;
}
