import type { Tier } from '../../core/call/context.js';
import { type HeaderSource, headerValue } from '../../core/options/headers.js';

/** By RFC 9218 smaller is more urgent, 3 is the default and 7 background work. */
const TIER_OF_URGENCY: readonly Tier[] = [1, 1, 2, 3, 3, 4, 4, 4];

/**
 * The tier that a request's headers ask for: `x-request-tier: 1` to `4`, else RFC 9218's `Priority: u=0` to `u=7` (0
 * and 1 are tier 1, 2 is tier 2, 3 and 4 tier 3, the rest tier 4; without `u` it is 3). A value that makes no sense
 * means tier 4, no header at all tier 3, as in a context that is not told. Never throws.
 *
 * Any client can send these headers. Take them from hops that you trust, and strip them at the edge.
 */
export function tierFrom(headers: HeaderSource): Tier {
  const own = headerValue(headers, 'x-request-tier');
  if (own !== undefined) return /^[1-4]$/.test(own.trim()) ? (Number(own) as Tier) : 4;
  const priority = headerValue(headers, 'priority');
  const urgency = priority === undefined ? 3 : urgencyOf(priority);
  return urgency === undefined ? 4 : (TIER_OF_URGENCY[urgency] as Tier);
}

/** `u` of a structured dictionary such as `u=2, i`: the last one counts; undefined for what is malformed. */
function urgencyOf(priority: string): number | undefined {
  let urgency = 3;
  for (const member of priority.split(',')) {
    const parts = /^[ \t]*([a-z*][a-z0-9_.*-]*)(?:=([^;]*))?(?:;.*)?$/.exec(member.trimEnd());
    if (parts === null) return undefined;
    const [, key, value] = parts;
    if (key !== 'u') continue;
    if (!/^[0-7]$/.test(String(value))) return undefined;
    urgency = Number(value);
  }
  return urgency;
}
