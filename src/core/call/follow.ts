import { type Abortable, type AbortScope, SignalScope } from './abort.js';

/**
 * Signals that were handed out and outlive their call, as that of a response whose body is still read: each aborts when
 * what was around its call does. A body that was read or dropped must leave nothing behind on a signal that lives as
 * long as the process, so the link is weak. `AbortSignal.any` would do, but leaks on Node 20.0 (nodejs/node #54614).
 *
 * A weak reference to the controller loses the abort: nothing else keeps the controller while its signal lives. So the
 * reference is to the signal, which keeps its controller.
 */
class Followers {
  static readonly #of = new WeakMap<object, Followers>();
  static readonly #controllers = new WeakMap<AbortSignal, AbortController>();
  static readonly #collected = new FinalizationRegistry<{ followers: Followers; ref: WeakRef<AbortSignal> }>(
    ({ followers, ref }) => followers.#forget(ref),
  );
  #outer: Abortable;
  readonly #refs = new Set<WeakRef<AbortSignal>>();

  private constructor(outer: Abortable) {
    this.#outer = outer;
  }

  static follow(outer: Abortable, controller: AbortController): void {
    // One for all the calls under a signal, for which there may be more than one scope.
    const key = outer instanceof SignalScope ? outer.signal : outer;
    let followers = Followers.#of.get(key);
    if (followers === undefined) {
      followers = new Followers(outer);
      Followers.#of.set(key, followers);
    }
    const { signal } = controller;
    Followers.#controllers.set(signal, controller);
    const ref = new WeakRef(signal);
    if (followers.#refs.size === 0) outer.add(followers.#onAbort);
    followers.#refs.add(ref);
    Followers.#collected.register(signal, { followers, ref });
  }

  /** What follows `scope`, which ends, follows `outer` from now on. */
  static move(scope: Pick<Abortable, 'remove'>, outer: Abortable): void {
    const followers = Followers.#of.get(scope);
    if (followers === undefined || followers.#refs.size === 0) return;
    Followers.#of.delete(scope);
    scope.remove(followers.#onAbort);
    followers.#outer = outer;
    if (outer.aborted) followers.#onAbort();
    else outer.add(followers.#onAbort);
  }

  readonly #onAbort = (): void => {
    const refs = [...this.#refs];
    this.#refs.clear();
    for (const ref of refs) {
      const signal = ref.deref();
      if (signal !== undefined) Followers.#controllers.get(signal)?.abort(this.#outer.reason);
    }
  };

  #forget(ref: WeakRef<AbortSignal>): void {
    if (this.#refs.delete(ref) && this.#refs.size === 0) this.#outer.remove(this.#onAbort);
  }
}

/** What a call that ends has made: a signal if it was read, and what follows it. */
type Ending = Pick<AbortScope, 'aborted' | 'controller' | 'remove'>;

/**
 * After a call has ended with `result`: the signal of `scope`, if it was read and `result` is an object that may go on
 * with it, aborts when `outer` does; so does what was linked to `scope` by calls inside.
 */
export function followAbort(outer: Abortable, scope: Ending, result: unknown): void {
  if (scope.aborted) return;
  Followers.move(scope, outer);
  const { controller } = scope;
  if (controller === undefined || typeof result !== 'object' || result === null) return;
  if (outer.aborted) controller.abort(outer.reason);
  else Followers.follow(outer, controller);
}
