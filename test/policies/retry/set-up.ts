import {
  type Context,
  type Policy,
  pipeline,
  type Reason,
  RejectedError,
  type ResilienceEvent,
  type RetryOptions,
  retry,
} from 'evenkeel';
import { type ManualClock, manualClock } from 'evenkeel/testing';

export function setUp(options: RetryOptions = {}, ...inner: ((clock: ManualClock) => Policy)[]) {
  const clock = manualClock();
  const events: ResilienceEvent[] = [];
  const policy = retry({
    clock,
    backoff: () => 100,
    observer: (event) => events.push(event),
    ...options,
  });
  return { clock, events, policy, guard: pipeline(policy, ...inner.map((make) => make(clock))) };
}

export const settled = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    (value) => ({ value }),
    (error: unknown) => ({ error }),
  );

/** Ends the n-th try as the n-th of `ends` says, and notes when it began. */
export function script(clock: ManualClock, ...ends: (() => unknown)[]) {
  const tries: { attempt: number; at: number; startedAt: number }[] = [];
  const fn = (ctx: Context): unknown => {
    tries.push({ attempt: ctx.attempt, at: clock.now(), startedAt: ctx.startedAt });
    return (ends[tries.length - 1] ?? ends.at(-1))?.();
  };
  return { fn, tries };
}
export const throws = (error: unknown) => (): never => {
  throw error;
};
export const rejects = (error: unknown) => (): Promise<never> => Promise.reject(error);
export const refusal = (reason: Reason, retryAfterMs = 0): RejectedError =>
  new RejectedError({ policy: 'inner', reason, retryAfterMs });
