import {
  type Context,
  type FailoverOptions,
  failover,
  RejectedError,
  type ResilienceEvent,
  TimeoutError,
} from 'evenkeel';
import { manualClock } from 'evenkeel/testing';
import { RecordingBudget } from '../retry/calls.js';

export const refused = new RejectedError({ policy: 'breaker', reason: 'circuit_open', retryAfterMs: 30 });
export const timedOut = (): Promise<never> => Promise.reject(new TimeoutError('limit', 10));
export const settled = <R>(promise: Promise<R>): Promise<unknown> =>
  promise.then(
    (value) => ({ value }),
    (error: unknown) => ({ error }),
  );

export type Act = (ctx: Context) => unknown;

export function setUp(local: Act, remote: Act, options: Partial<FailoverOptions<Context, unknown>> = {}) {
  const clock = manualClock();
  const events: ResilienceEvent[] = [];
  const budget = new RecordingBudget();
  const calls: string[] = [];
  const site = failover({
    local: (ctx) => {
      calls.push(`local ${ctx.attempt}`);
      return local(ctx);
    },
    remote: (ctx) => {
      calls.push(`remote ${ctx.attempt}`);
      return remote(ctx);
    },
    budget,
    clock,
    observer: (event) => events.push(event),
    ...options,
  });
  return { clock, events, budget, calls, site };
}
