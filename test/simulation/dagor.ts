import type { Context, Gate, Tier, Verdict } from 'evenkeel';
import { levelOf } from 'evenkeel';

const PLACES = 512;

/**
 * DAGOR's own rule (Zhou et al., SoCC 2018), to measure ours against: after each second, admit α less than was admitted if
 * overloaded, else β of the offered more; the cutoff by the histogram of the offered calls. One that counts only what
 * it admitted, as failsafe-go's prioritizer does, with `counts: 'admitted'`.
 */
export function dagor(options: {
  overloaded: () => boolean;
  windowMs?: number;
  alpha?: number;
  beta?: number;
  counts?: 'offered' | 'admitted';
}): Gate {
  const { overloaded, windowMs = 1_000, alpha = 0.05, beta = 0.01, counts = 'offered' } = options;
  let endsAt = windowMs;
  let cutoff = PLACES;
  let admitted = 0;
  const counted = new Float64Array(PLACES);
  const endWindow = (): void => {
    const offered = counted.reduce((sum, n) => sum + n, 0);
    const wanted = overloaded() ? (1 - alpha) * admitted : admitted + beta * offered;
    let sum = 0;
    cutoff = 0;
    while (cutoff < PLACES && sum < wanted) sum += counted[cutoff++] as number;
    if (sum < wanted) cutoff = PLACES;
    admitted = 0;
    counted.fill(0);
  };
  const unused = (): never => {
    throw new Error('the simulation does not use it');
  };
  return {
    name: 'dagor',
    reason: 'tier_shed',
    tryAcquire({ startedAt = 0, tier = 3, key = '' }: Partial<Context> = {}): boolean {
      for (; startedAt >= endsAt; endsAt += windowMs) endWindow();
      const place = ((tier as Tier) - 1) * 128 + levelOf(key, 0);
      const admits = place < cutoff;
      if (admits) admitted++;
      if (admits || counts === 'offered') (counted[place] as number)++;
      return admits;
    },
    release(_: Verdict): void {},
    retryAfterMs: () => 0,
    run: unused,
  };
}
