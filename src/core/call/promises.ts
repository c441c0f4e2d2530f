/** Promises of a call: how they are made to reject, and for how long an abort waits for them. */
import type { Abortable } from './abort.js';

/** Resolving with a thenable takes the one microtask that {@link rejectSoon} needs. */
class Rejecting {
  constructor(readonly error: unknown) {}
  // biome-ignore lint/suspicious/noThenProperty: that it is a thenable is what it is for
  then(_: unknown, reject: (error: unknown) => void): void {
    reject(this.error);
  }
}

/**
 * A promise that rejects one microtask later, when its caller has had time to attach a handler: one that is rejected
 * before it has a handler goes through the host's unhandled-rejection hook, three times the cost of all the rest of a
 * refusal.
 */
export const rejectSoon = (error: unknown): Promise<never> =>
  Promise.resolve(new Rejecting(error) as unknown as Promise<never>);

/** `next(ctx)` as a promise, whatever a policy in plain JavaScript returns or throws. */
export function callNext<C, R>(ctx: C, next: (ctx: C) => Promise<R>): Promise<R> {
  try {
    return Promise.resolve(next(ctx));
  } catch (error) {
    return rejectSoon(error);
  }
}

const { then } = Promise.prototype;

/** `promise.then(…)`, past a `then` of its own, which could call back twice; `call` for all would take 4 ns more. */
export function whenSettled<T, R>(
  promise: Promise<T>,
  onValue: ((value: T) => R | Promise<R>) | undefined,
  onError: (error: unknown) => R | Promise<R>,
): Promise<R> {
  return (
    promise.then === then ? promise.then(onValue, onError) : then.call(promise, onValue as never, onError)
  ) as Promise<R>;
}

const resolved = /* @__PURE__ */ Promise.resolve();

/**
 * Calls `then` as soon as `isDone`, at the latest after `limit` microtasks: in the same turn of the event loop, and
 * never before the present microtask has ended.
 */
export function afterMicrotasks(limit: number, isDone: () => boolean, then: () => void): void {
  let left = limit;
  const hop = (): void => {
    if (--left <= 0 || isDone()) then();
    else resolved.then(hop);
  };
  resolved.then(hop);
}

/**
 * How many microtasks a function has to honour its signal before its call ends without it. A listener needs 1, `fetch`
 * 7, `fetch` in two async functions with `finally` 15.
 */
export const GRACE = 32;

/**
 * Settles as `promise` does, or, once `scope` has aborted, rejects with its reason: when `promise` has settled, at the
 * latest after `microtasks` of them. The listener is gone once either has happened, and a late rejection is handled.
 *
 * @param keepsOutcome whether a promise that settles in these microtasks still decides, as that of a policy may
 * @param onSettled told first when `promise` settles, also long after
 */
export function untilAbort<R>(
  promise: Promise<R>,
  scope: Abortable,
  microtasks = GRACE,
  keepsOutcome = false,
  onSettled?: (ok: boolean, result: unknown) => void,
): Promise<R> {
  return new Promise<R>((resolve, reject) => {
    let settled = false;
    const rejectAborted = (): void => reject(scope.reason);
    const stop = (): void => afterMicrotasks(microtasks, () => settled, rejectAborted);
    const settle = (ok: boolean, result: unknown): void => {
      onSettled?.(ok, result);
      settled = true;
      scope.remove(stop);
      if (scope.aborted && !keepsOutcome) return;
      if (ok) resolve(result as R);
      else reject(result);
    };
    // It may have aborted while `promise` was being made.
    if (scope.aborted) stop();
    else scope.add(stop);
    void whenSettled<R, void>(
      promise,
      (value) => settle(true, value),
      (error) => settle(false, error),
    );
  });
}
