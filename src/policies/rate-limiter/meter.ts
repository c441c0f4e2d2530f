/** How much of a rate limit is in use: the algorithms, apart from the gates that enforce them. */

/** What a meter says of the present. */
export interface Reading {
  /** Counted now. */
  used: number;
  /** How many calls of cost 1 would be admitted now, back to back. */
  remaining: number;
  /** Until `remaining` rises, ms; 0 = it is at its highest. */
  resetMs: number;
}

/**
 * Costs are > 0; time is held when `now` steps back; a meter of many keys looks at `key`. What it has counted does not
 * depend on the limit, which may be another one each time. `waitMs` and `read` only look: they change nothing, so a
 * later call with an earlier time counts as if none had looked. `held` is the latest time of the clock, if that has
 * stepped back.
 */
export interface Meter {
  /** Counts `cost` if it fits below `limit`; a refusal counts nothing. */
  take(now: number, cost: number, limit: number, key: string | undefined): boolean;
  /** Refunds what was counted at `at`. */
  refund(at: number, cost: number, key: string | undefined): void;
  /** From `now` until `cost` fits below `limit`, if nothing else is counted; Infinity = never. */
  waitMs(now: number, cost: number, limit: number, key?: string | undefined, held?: number): number;
  read(now: number, limit: number, key?: string | undefined, held?: number): Reading;
}

// Rump, Zimmermann, Boldo, Melquiond, "Computing predecessor and successor in rounding to nearest", 2009.
const TO_NEXT = 2 ** -53 * (1 + 2 ** -52);
/** The number after `x`. */
export const after = (x: number): number => x + Math.max(Number.MIN_VALUE, Math.abs(x) * TO_NEXT);

/** How long to wait at `now` for a clock that then shows `at`, or the next number that a sum with `now` can reach. */
export function waitUntil(at: number, now: number): number {
  const waitMs = Math.max(0, at - now);
  return now + waitMs >= at ? waitMs : after(waitMs);
}

/** How many units fit, where the estimate may be one off by rounding. */
export function countUnits(estimate: number, fits: (units: number) => boolean): number {
  let units = Math.max(0, Math.floor(estimate));
  while (units > 0 && !fits(units)) units--;
  while (fits(units + 1)) units++;
  return units;
}
