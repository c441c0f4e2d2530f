/** When calls come: rates that change in steps and in straight lines. */

/** From `fromMs` to `toMs` the rate goes from `from` to `to`, calls per second, in a straight line. */
export interface Stretch {
  fromMs: number;
  toMs: number;
  from: number;
  to: number;
}

/** Where so many more calls have come since `afterMs`, on average; Infinity = never. */
export function arrivalAfter(stretches: readonly Stretch[], afterMs: number, calls: number): number {
  let left = calls * 1_000;
  for (const { fromMs, toMs, from, to } of stretches) {
    if (toMs <= afterMs) continue;
    const startMs = Math.max(fromMs, afterMs);
    const slope = toMs === Infinity || from === to ? 0 : (to - from) / (toMs - fromMs);
    const rate = from + slope * (startMs - fromMs);
    const inStretch = toMs === Infinity ? (rate > 0 ? Infinity : 0) : ((rate + to) / 2) * (toMs - startMs);
    // rate·x + slope·x²/2 = left, solved without taking the difference of near numbers.
    if (inStretch >= left)
      return startMs + (2 * left) / (rate + Math.sqrt(Math.max(0, rate * rate + 2 * slope * left)));
    left -= inStretch;
  }
  return Infinity;
}

export interface Change {
  atMs: number;
  ratePerSecond: number;
  ramp: boolean;
}

/** The stretches of a rate between `fromMs` and `toMs` by its changes, which are in order of time. */
export function stretchesOf(changes: readonly Change[], fromMs: number, toMs: number): Stretch[] {
  const stretches: Stretch[] = [];
  let atMs = fromMs;
  let rate = 0;
  const until = (untilMs: number, to: number): void => {
    if (untilMs > atMs) stretches.push({ fromMs: atMs, toMs: untilMs, from: rate, to });
    atMs = Math.max(atMs, untilMs);
  };
  for (const change of changes) {
    until(change.atMs, change.ramp ? change.ratePerSecond : rate);
    rate = change.ratePerSecond;
  }
  until(toMs, rate);
  return stretches;
}
