/** An answer that goes on after the function has returned it, as a response does whose body is still to be read. */
import { throwLater } from '../errors.js';
import { invalid } from '../options/validate.js';
import type { Verdict } from '../outcome.js';
import { abortableOf, type Body, type CallContext, type Context, classOf, openBodyOf } from './context.js';
import { whenSettled } from './promises.js';

class OpenBody implements Body {
  pending = 0;
  #failed = false;
  readonly #listeners: (() => void)[] = [];

  add(listener: () => void): void {
    this.#listeners.push(listener);
  }

  end(failed: boolean): void {
    this.#failed ||= failed;
    if (this.pending === 0) for (const listener of this.#listeners.splice(0)) listener();
  }

  /** The verdict is that on the body: a promise that rejects is `dropped`, a caller who gives up `ignored`. */
  release(ctx: Context, release: (verdict: Verdict, elapsedMs: number) => void): void {
    const abortable = abortableOf(ctx);
    let open = true;
    const end = (verdict: Verdict): void => {
      if (!open) return;
      open = false;
      abortable?.remove(giveUp);
      try {
        release(verdict, Math.max(0, ctx.clock.now() - ctx.startedAt));
      } catch (error) {
        throwLater(error);
      }
    };
    const giveUp = (): void => end('ignored');
    this.add(() => end(this.#failed ? 'dropped' : 'success'));
    // The answer may have come as the call was aborted.
    if (abortable?.aborted) giveUp();
    else abortable?.add(giveUp);
  }
}

/**
 * Says that the answer goes on after the function has returned it, as a response does whose body is still to be read.
 * The caller has the answer at once; permits, and the verdict where the answer itself is no failure, wait for
 * `promise`: if it rejects, the call counts as `dropped`. Work that waits for a body is not abandoned before the caller
 * gives up.
 *
 * @param ctx the context that the function was called with
 * @param promise ends with the answer; its rejection is handled
 * @throws TypeError when `ctx` is not a context that a pipeline has passed on, or `promise` is none
 * @example
 * guard.execute(async (ctx) => {
 *   const response = await fetch(url, { signal: ctx.signal });
 *   const { readable, writable } = new TransformStream();
 *   waitUntil(ctx, response.body.pipeTo(writable));
 *   return new Response(readable, response);
 * });
 */
export function waitUntil(ctx: Context, promise: PromiseLike<unknown>): void {
  if (typeof promise?.then !== 'function') invalid('waitUntil', 'promise', 'a promise', promise, true);
  const its = typeof ctx === 'object' && ctx !== null ? classOf(ctx) : undefined;
  if (its === undefined) throw new TypeError('waitUntil: ctx must be the context that the function was called with');
  const own = ctx as CallContext;
  // Several promises of one context are one body.
  const known = openBodyOf(ctx);
  const body = known instanceof OpenBody ? known : new OpenBody();
  body.pending++;
  its.begun(own, body);
  const end = (failed: boolean): void => {
    body.pending--;
    its.ended(own, !failed, undefined);
    body.end(failed);
  };
  void whenSettled(
    Promise.resolve(promise),
    () => end(false),
    () => end(true),
  );
}
