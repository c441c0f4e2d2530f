import { pipeline, type RetryBudget, retry } from 'evenkeel';
import { type ManualClock, manualClock, seededRandom } from 'evenkeel/testing';

export interface Layers {
  /** How many services call one another, the last of them the callee. */
  layers: number;
  maxRetries: number;
  budget: (clock: ManualClock) => RetryBudget | RetryBudget[];
  perSecond: number;
  durationMs: number;
  /** Whether a call of the callee fails; `attempt` is that of the last layer. */
  fails: (at: number, attempt: number, random: () => number) => boolean;
}

/** Calls out of each layer at each time, that of the users first, that to the callee last. */
export interface Traffic {
  /** Over what came into it, between two times: by layer. */
  amplification(fromMs: number, toMs: number): number[];
  /** Calls of the callee over those of the users. */
  total(fromMs: number, toMs: number): number;
}

/** Layers of services with a retry each, in virtual time. */
export async function callThrough({
  layers,
  maxRetries,
  budget,
  perSecond,
  durationMs,
  fails,
}: Layers): Promise<Traffic> {
  const clock = manualClock();
  const random = seededRandom(1);
  const calls: number[][] = Array.from({ length: layers + 1 }, () => []);
  const guards = Array.from({ length: layers }, () =>
    pipeline(retry({ clock, random: seededRandom(2), maxRetries, budget: budget(clock) })),
  );
  const enter = (layer: number, attempt: number): Promise<void> => {
    calls[layer]?.push(clock.now());
    const guard = guards[layer];
    if (guard !== undefined) return guard.execute((ctx) => enter(layer + 1, ctx.attempt));
    return fails(clock.now(), attempt, random) ? Promise.reject(new Error('HTTP 503')) : Promise.resolve();
  };
  const gapMs = 1_000 / perSecond;
  for (let at = 0; at < durationMs; at += gapMs) {
    enter(0, 0).catch(() => {});
    await clock.advance(gapMs);
  }
  await clock.advance(60_000);
  const count = (layer: number, fromMs: number, toMs: number): number =>
    (calls[layer] ?? []).filter((at) => at >= fromMs && at < toMs).length;
  return {
    amplification: (fromMs, toMs) => guards.map((_, i) => count(i + 1, fromMs, toMs) / count(i, fromMs, toMs)),
    total: (fromMs, toMs) => count(layers, fromMs, toMs) / count(0, fromMs, toMs),
  };
}
