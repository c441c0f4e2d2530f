/** A row of the table of targets. */
export type TargetRow = [path: string, target: string, measured: string, verdict: string];

/** By what share a bound is missed; ≤ 0 = met. */
export const missedAtMost = (measured: number, bound: number): number => measured / bound - 1;
export const missedAtLeast = (measured: number, bound: number): number => bound / measured - 1;

export const verdictText = (missedByRatio: number): string =>
  missedByRatio <= 0 ? 'met' : `missed by ${Math.ceil(missedByRatio * 100)} %`;
