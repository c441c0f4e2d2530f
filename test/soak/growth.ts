/** What a call may leave on the heap on average; the least object takes 12 bytes. */
export const MOST_BYTES_A_CALL = 8;

export interface Sample {
  kb: number;
  /** Begun by then. */
  calls: number;
}

/** How much the heap grows with each call, bytes: the median of the slopes between all pairs of samples (Theil, Sen), which
 * single outliers do not move. */
export function bytesACall(samples: readonly Sample[]): number {
  const slopes = samples.flatMap((to, i) =>
    samples.slice(0, i).map((from) => ((to.kb - from.kb) * 1_024) / (to.calls - from.calls)),
  );
  slopes.sort((a, b) => a - b);
  return slopes[slopes.length >> 1] ?? Number.NaN;
}
