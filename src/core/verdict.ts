/** What the outcome of a call says about the downstream. */
import { abortableOf, type Context } from './call/context.js';
import { isRejected, isTimeout } from './errors.js';
import type { Classify, Verdict } from './policy.js';

/** The verdict on a call that threw `error`, where the policy has no `classify`. */
export function defaultVerdict(error: unknown, ctx: Context): Verdict {
  if (isRejected(error)) return 'ignored';
  if (isTimeout(error)) return 'dropped';
  const abortable = abortableOf(ctx);
  return abortable?.aborted && Object.is(abortable.reason, error) ? 'ignored' : 'failure';
}

/**
 * The verdict where a policy has no `classify` of its own: a refusal and the caller's abort are `ignored`, a time-out
 * is `dropped`, another throw is a `failure`, a value a `success`. For a `classify` that only adds to it.
 */
export const defaultClassify: Classify = (outcome, ctx) =>
  outcome.ok ? 'success' : defaultVerdict(outcome.error, ctx);

/** What `classify`, or the default, makes of an outcome. */
export function judge(classify: Classify | undefined, ok: boolean, result: unknown, ctx: Context): Verdict {
  if (classify === undefined) return ok ? 'success' : defaultVerdict(result, ctx);
  const verdict = classify(ok ? { ok, value: result } : { ok, error: result }, ctx);
  if (verdict === 'success' || verdict === 'failure' || verdict === 'dropped' || verdict === 'ignored') return verdict;
  throw new TypeError(`classify must return 'success', 'failure', 'dropped' or 'ignored', got ${String(verdict)}`);
}
