/** The innermost step of a pipeline: the user's function. */
import type { Abortable } from './abort.js';
import { abortableOf, CallContext, type Context, classOf, depthOf } from './context.js';
import { GRACE, untilAbort, whenSettled } from './promises.js';

const NEXT = 'next: ctx must be the context that the policy was given, or made from it by derive';

/** What a policy in plain JavaScript calls `next` with: a context, maybe of another copy of the library. */
export function checkNext(ctx: unknown): void {
  if (typeof ctx !== 'object' || ctx === null) throw new TypeError(`${NEXT}, got ${String(ctx)}`);
}

/** What the function is called with. */
export function checkContext(ctx: unknown): asserts ctx is CallContext {
  checkNext(ctx);
  if (classOf(ctx) !== CallContext) throw new TypeError(NEXT);
}

/** What a step asks before it takes a permit: nothing begins under a call that was aborted, or without a context. */
export function checkStart(ctx: Context, next: unknown): void {
  if (next === callFunction) checkContext(ctx);
  const abortable = abortableOf(ctx);
  if (abortable?.aborted) throw abortable.reason;
}

/** A function has {@link GRACE}; a call made inside another call less, so that it ends before the one around it. */
export const graceOf = (ctx: CallContext): number => Math.max(8, GRACE - 8 * depthOf(ctx));

/**
 * Calls the user's function, for a policy that is no step: it does not wait for one that goes on after an abort. A step
 * that finds this as its `next` calls `CallContext.start` itself, and saves a promise.
 */
export function callFunction<R>(ctx: Context): Promise<R> {
  checkContext(ctx);
  const promise = CallContext.start<R>(ctx, ctx);
  const abortable = CallContext.abortableOf(ctx);
  if (abortable !== undefined) return untilFunctionEnds(promise, ctx, abortable);
  return whenSettled<R, R>(
    promise,
    (value) => {
      CallContext.ended(ctx, true, value);
      return value;
    },
    (error) => {
      CallContext.ended(ctx, false, error);
      throw error;
    },
  );
}

/** Settles as the function does that was called with `ctx`, or rejects soon after the abort. */
export const untilFunctionEnds = <R>(promise: Promise<R>, ctx: CallContext, abortable: Abortable): Promise<R> =>
  untilAbort(promise, abortable, graceOf(ctx), false, (ok, result) => CallContext.ended(ctx, ok, result));
