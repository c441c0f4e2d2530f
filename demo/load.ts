import { setTimeout as sleep } from 'node:timers/promises';
import { isRejected } from 'evenkeel';
import { arrivals, PATIENCE_MS, type Plan } from './plan.js';

/** How a call ended: `refused` by the guard in the client, `turnedAway` by the back-end whose queue was full. */
export type Outcome = 'answered' | 'timedOut' | 'refused' | 'turnedAway' | 'failed';

/** One call. */
export interface Call {
  /** When it was due, ms since the phase began. */
  atMs: number;
  /** From then to its end. */
  tookMs: number;
  outcome: Outcome;
  /** What a `failed` call threw. */
  error?: unknown;
}

/**
 * Open-loop load: each call is made when it is due, whatever has become of those before it, and counts from when it
 * was due. Fills `calls` as they end; resolves when the last has.
 */
export async function offer(plan: Plan, client: () => Promise<unknown>, calls: Call[]): Promise<void> {
  const startMs = performance.now();
  const make = async (atMs: number): Promise<void> => {
    const end = await client().then((): End => ({ outcome: 'answered' }), endOf);
    const tookMs = performance.now() - startMs - atMs;
    if (end.outcome === 'answered' && tookMs > PATIENCE_MS) end.outcome = 'timedOut';
    calls.push({ atMs, tookMs, ...end });
  };
  const made: Promise<void>[] = [];
  for (const atMs of arrivals(plan)) {
    const waitMs = startMs + atMs - performance.now();
    if (waitMs > 0) await sleep(waitMs);
    made.push(make(atMs));
  }
  await Promise.all(made);
}

type End = Pick<Call, 'outcome' | 'error'>;

function endOf(error: unknown): End {
  if (isRejected(error)) return { outcome: 'refused' };
  const { name, message } = error as Error;
  // Both that of AbortSignal.timeout and that of evenkeel.
  if (name === 'TimeoutError') return { outcome: 'timedOut' };
  return message === 'HTTP 503' ? { outcome: 'turnedAway' } : { outcome: 'failed', error };
}
