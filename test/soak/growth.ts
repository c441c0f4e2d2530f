/** How much the heap grows, kB an hour: the median of the slopes between all pairs of samples (Theil, Sen), which single
 * outliers do not move. */
export function growthPerHour(samples: readonly { minutes: number; kb: number }[]): number {
  const slopes = samples.flatMap((to, i) =>
    samples.slice(0, i).map((from) => ((to.kb - from.kb) / (to.minutes - from.minutes)) * 60),
  );
  slopes.sort((a, b) => a - b);
  return slopes[slopes.length >> 1] ?? 0;
}
