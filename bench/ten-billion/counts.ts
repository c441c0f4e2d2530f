/** What became of requests. Whole numbers far below 2^53: sums of them are exact. */

export const REASONS = ['tier_shed', 'rate_limited', 'circuit_open'] as const;
export type RefusalReason = (typeof REASONS)[number];

export interface Counts {
  offered: number;
  admitted: number;
  refused: Record<RefusalReason, number>;
  /** How many the callee got, by its own count. */
  reached: number;
}

export const noCounts = (): Counts => ({
  offered: 0,
  admitted: 0,
  refused: { tier_shed: 0, rate_limited: 0, circuit_open: 0 },
  reached: 0,
});

export function add(to: Counts, more: Counts): void {
  to.offered += more.offered;
  to.admitted += more.admitted;
  to.reached += more.reached;
  for (const reason of REASONS) to.refused[reason] += more.refused[reason];
}

export const refusedOf = ({ refused }: Counts): number => REASONS.reduce((sum, reason) => sum + refused[reason], 0);

/** What does not add up; empty = it all does. */
export function faults(counts: Counts, expected: number): string[] {
  const found: string[] = [];
  if (counts.offered !== expected) found.push(`offered ${counts.offered}, not ${expected}`);
  const ended = counts.admitted + refusedOf(counts);
  if (ended !== counts.offered) found.push(`admitted and refused are ${ended}, offered ${counts.offered}`);
  if (counts.reached !== counts.admitted) found.push(`admitted ${counts.admitted}, the callee got ${counts.reached}`);
  return found;
}
