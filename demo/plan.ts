/** When what happens in a phase, ms since its start; the same in both phases. */
export interface Plan {
  /** When the load rises. */
  riseAtMs: number;
  /** When the back-end slows down. */
  slowAtMs: number;
  /** When what counts as the overload begins: first the queue that stands at the slow-down has to be worked off. */
  overloadAtMs: number;
  /** When the load ends. */
  endMs: number;
}

export const FULL: Plan = { riseAtMs: 4_000, slowAtMs: 10_000, overloadAtMs: 12_000, endMs: 24_000 };
export const QUICK: Plan = { riseAtMs: 800, slowAtMs: 3_200, overloadAtMs: 5_200, endMs: 7_000 };

/** Requests a second, before and after the rise. */
export const CALM_RATE = 30;
export const RISEN_RATE = 200;
/** How long the back-end's one worker takes for a request, before and after the slow-down, ms. */
export const FAST_MS = 20;
export const SLOW_MS = 50;
/** Later than that, an answer is of no use to the caller. */
export const PATIENCE_MS = 1_000;

/** When the requests are due, whatever has become of those before them. */
export function arrivals(plan: Plan): number[] {
  const times: number[] = [];
  for (let at = 0; at < plan.endMs; at += 1_000 / (at < plan.riseAtMs ? CALM_RATE : RISEN_RATE)) times.push(at);
  return times;
}
