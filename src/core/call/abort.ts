import { throwLater } from '../errors.js';

/**
 * Aborting without paying for it: on Node 20 an `AbortController` whose signal is read costs 2.7 µs, most calls never
 * ask for the signal, and `AbortSignal.any` on a long-lived signal leaks (nodejs/node #54614). So a scope makes its
 * controller on first demand, and signals are linked by hand and unlinked.
 */

/**
 * Something that may abort a call later. Policies that stop a call early (a timeout, a hedge) make one and pass it on
 * by `deriveAbortable`.
 */
export class AbortScope {
  #controller: AbortController | undefined;
  #listeners: Set<() => void> | undefined;
  #aborted = false;
  #reason: unknown;

  /** Whether `abort` was called. */
  get aborted(): boolean {
    return this.#aborted;
  }

  /** What `abort` was called with. */
  get reason(): unknown {
    return this.#reason;
  }

  /** A signal that aborts with this scope; made on first access. */
  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#aborted) this.#controller.abort(this.#reason);
    }
    return this.#controller.signal;
  }

  /** The controller of a signal that was read; undefined = no code has the signal. */
  get controller(): AbortController | undefined {
    return this.#controller;
  }

  /** Aborts with `reason`; only the first call counts. */
  abort(reason: unknown): void {
    if (this.#aborted) return;
    this.#aborted = true;
    this.#reason = reason;
    const listeners = this.#listeners;
    this.#listeners = undefined;
    if (listeners !== undefined) callAll(listeners);
    this.#controller?.abort(reason);
  }

  /** Calls `listener` once on abort. Not called when already aborted: look at `aborted` first. */
  add(listener: () => void): void {
    this.#listeners ??= new Set();
    this.#listeners.add(listener);
  }

  /** Removes `listener`. */
  remove(listener: () => void): void {
    this.#listeners?.delete(listener);
  }
}

/** Calls each of them, also those behind one that throws. */
function callAll(listeners: Iterable<() => void>): void {
  for (const listener of listeners) {
    try {
      listener();
    } catch (error) {
      throwLater(error);
    }
  }
}

/** What can be asked of anything that aborts. */
export type Abortable = Pick<AbortScope, 'aborted' | 'reason' | 'signal' | 'add' | 'remove'>;

/**
 * A signal from outside, seen as an {@link Abortable}: one for all the calls that have it, with one listener while any
 * of them is under way. A listener per call would take 200 ns, and Node warns of a leak from the eleventh on.
 */
export class SignalScope implements Abortable {
  static readonly #scopes = new WeakMap<AbortSignal, SignalScope>();
  readonly #listeners = new Set<() => void>();

  private constructor(readonly signal: AbortSignal) {}

  static of(signal: AbortSignal): SignalScope {
    let scope = SignalScope.#scopes.get(signal);
    if (scope === undefined) {
      scope = new SignalScope(signal);
      SignalScope.#scopes.set(signal, scope);
    }
    return scope;
  }

  get aborted(): boolean {
    return this.signal.aborted;
  }

  get reason(): unknown {
    return this.signal.reason;
  }

  add(listener: () => void): void {
    if (this.#listeners.size === 0) this.signal.addEventListener('abort', this.#onAbort);
    this.#listeners.add(listener);
  }

  remove(listener: () => void): void {
    if (this.#listeners.delete(listener) && this.#listeners.size === 0) this.#unlink();
  }

  #unlink(): void {
    this.signal.removeEventListener('abort', this.#onAbort);
  }

  readonly #onAbort = (): void => {
    const listeners = [...this.#listeners];
    this.#listeners.clear();
    this.#unlink();
    callAll(listeners);
  };
}
