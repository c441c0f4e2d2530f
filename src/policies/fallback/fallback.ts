/** An answer in place of a failure. */
import { abortableOf, type Context } from '../../core/call/context.js';
import { callNext, untilAbort } from '../../core/call/promises.js';
import { notify, type Observer } from '../../core/events.js';
import { invalid, OptionReader } from '../../core/options/validate.js';
import type { CommonOptions, Next, Policy } from '../../core/policy.js';

/** Gives the answer in place of `error`. What it throws is what the caller gets. */
export type FallbackFunction<C extends Context = Context> = (error: unknown, ctx: C) => unknown;

/** Options of {@link fallback}. */
export interface FallbackOptions<C extends Context = Context> extends Pick<CommonOptions, 'name' | 'observer'> {
  /** Which errors are answered for. Not asked once the call is aborted. @default all */
  fallbackOn?: ((error: unknown, ctx: C) => boolean) | undefined;
}

/** Plain data on a fallback. */
export interface FallbackSnapshot {
  calls: number;
  /** Calls for which the function was asked for an answer. */
  fallbacks: number;
}

/** A {@link fallback}. */
export interface Fallback<in Need extends Context = Context> extends Policy<Need> {
  snapshot(): FallbackSnapshot;
}

class FallbackPolicy<Need extends Context> implements Fallback<Need> {
  readonly name: string;
  readonly #observer: Observer | undefined;
  readonly #fn: FallbackFunction<Need>;
  readonly #fallbackOn: ((error: unknown, ctx: Need) => boolean) | undefined;
  #calls = 0;
  #fallbacks = 0;

  constructor(fn: FallbackFunction<Need>, options: FallbackOptions<Need> | undefined) {
    if (typeof fn !== 'function') invalid('fallback', 'fn', 'a function', fn, true);
    const read = new OptionReader('fallback', options);
    this.#fn = fn;
    this.#fallbackOn = read.fn('fallbackOn');
    this.name = read.name('fallback');
    this.#observer = read.fn('observer');
    read.done();
  }

  run<C extends Need, R>(ctx: C, next: Next<C, R>): Promise<R> {
    this.#calls++;
    return callNext(ctx, next).catch((error: unknown) => this.#answer<C, R>(error, ctx));
  }

  #answer<C extends Need, R>(error: unknown, ctx: C): Promise<R> {
    const abortable = abortableOf(ctx);
    // The caller has given up, or an outer time limit: an answer would reach no caller.
    if (abortable?.aborted) throw error;
    if (this.#fallbackOn !== undefined && !this.#fallbackOn(error, ctx)) throw error;
    this.#fallbacks++;
    if (this.#observer !== undefined) {
      notify(this.#observer, { type: 'fallback', policy: this.name, at: ctx.clock.now() });
    }
    // A policy cannot know what a call returns: `fn` has to return what fits the call.
    const promise = callNext(ctx, async () => this.#fn(error, ctx) as R);
    return abortable === undefined ? promise : untilAbort(promise, abortable);
  }

  snapshot(): FallbackSnapshot {
    return { calls: this.#calls, fallbacks: this.#fallbacks };
  }
}

/**
 * Answers with `fn(error, ctx)` where a call failed, was refused or timed out. Once the call is aborted from outside,
 * by its caller or by a time limit around the fallback, its error is left as it is.
 *
 * TypeScript cannot check that `fn` returns what the call does. Where it is another type, say so at the call:
 * `guard.execute<Page | undefined>(…)`.
 *
 * @throws TypeError for a bad option, or when `fn` is not a function.
 */
export function fallback<C extends Context = Context>(
  fn: FallbackFunction<C>,
  options?: FallbackOptions<C>,
): Fallback<C> {
  return new FallbackPolicy(fn, options);
}
