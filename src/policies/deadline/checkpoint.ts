import type { Context } from '../../core/call/context.js';
import { RejectedError } from '../../core/errors.js';

/** What a checkpoint has to know of a call: any context has it. */
export type Timed = Pick<Context, 'clock' | 'deadline'>;

/** How much time the caller has left, ms: what to give the next hop. 0 = too late, Infinity = there is no deadline. */
export function remainingMs({ clock, deadline }: Timed): number {
  return deadline === Infinity ? Infinity : Math.max(0, deadline - clock.now());
}

/**
 * Stops work for which no caller waits any more; call it between the steps of a long one.
 *
 * @throws RejectedError (`policy: 'deadline'`, `reason: 'deadline_exceeded'`) when the deadline has come.
 */
export function checkpoint(ctx: Timed): void {
  if (remainingMs(ctx) > 0) return;
  throw new RejectedError({ policy: 'deadline', reason: 'deadline_exceeded', retryAfterMs: 0 });
}
