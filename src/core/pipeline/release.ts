import { type Context, openBodyOf } from '../call/context.js';
import type { PermitHolder, Verdict, WorkPermits } from '../policy.js';

/**
 * Releases a permit of a call that is answered, while a function under the admission, or the body of the answer, has
 * not ended. The body of a success decides; that of a failure is not read.
 *
 * @param ok whether the answer is a value
 */
export function releaseInTime(
  holder: PermitHolder,
  holds: WorkPermits | undefined,
  verdict: Verdict,
  spentMs: number,
  ctx: Context,
  ok: boolean,
): void {
  const body = ok ? openBodyOf(ctx) : undefined;
  const isRead = verdict === 'success';
  const release = (end: Verdict, elapsedMs: number): void => {
    if (holds === undefined) holder.release(end, elapsedMs, ctx);
    else holds.release(holder, end, elapsedMs, ctx, body === undefined || isRead ? 0 : body.pending);
  };
  if (body !== undefined && isRead) body.release(ctx, release);
  else release(verdict, spentMs);
}
