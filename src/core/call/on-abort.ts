import { invalid } from '../options/validate.js';
import { abortableOf, type Context } from './context.js';

const nothing = (): void => {};

/**
 * Calls `listener` once when `ctx` aborts; at once if it already has. For a tenth of what listening to `ctx.signal`
 * costs, since no signal is made.
 *
 * @returns takes the listener back: to be called when nothing is left to stop, for the caller may abort long after
 * @throws TypeError for a `listener` that is not a function
 */
export function onAbort(ctx: Context, listener: () => void): () => void {
  if (typeof listener !== 'function') invalid('onAbort', 'listener', 'a function', listener, true);
  const abortable = abortableOf(ctx);
  if (abortable === undefined) return nothing;
  if (abortable.aborted) {
    listener();
    return nothing;
  }
  // Not `listener` itself: given twice, it is called twice, and one can be removed.
  const once = (): void => listener();
  abortable.add(once);
  return () => abortable.remove(once);
}
