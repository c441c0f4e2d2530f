import {
  type Context,
  type HedgeOptions,
  hedge,
  type Policy,
  pipeline,
  RejectedError,
  type ResilienceEvent,
} from 'evenkeel';
import { manualClock } from 'evenkeel/testing';
import { later, RecordingBudget } from '../retry/calls.js';

export const refusal = new RejectedError({ policy: 'p', reason: 'rate_limited', retryAfterMs: 1 });

export function setUp(options: HedgeOptions = { afterMs: 100 }, ...inner: Policy[]) {
  const clock = manualClock();
  const events: ResilienceEvent[] = [];
  const budget = new RecordingBudget();
  const policy = hedge({ clock, budget, observer: (event) => events.push(event), ...options });
  const guard = pipeline(policy, ...inner);
  const starts: number[] = [];
  const signals: AbortSignal[] = [];
  /** Each attempt takes so long and ends so; `undefined` = never. */
  const attempts =
    (...ends: ([ms: number, end: () => unknown] | undefined)[]) =>
    (ctx: Context): unknown => {
      starts.push(clock.now());
      signals.push(ctx.signal);
      const end = ends[ctx.attempt];
      return end === undefined ? new Promise(() => {}) : later(clock, ...end);
    };
  return { clock, events, budget, policy, guard, starts, signals, attempts };
}
export const settled = <R>(promise: Promise<R>): Promise<unknown> =>
  promise.then(
    (value) => ({ value }),
    (error: unknown) => ({ error }),
  );
export const ok = (value: string) => (): string => value;
