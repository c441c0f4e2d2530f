/** Promises of a call: how they are made to reject, and who may stop waiting for them. */
import type { Abortable } from './abort.js';

/**
 * A promise that rejects one microtask later, when its caller has had time to attach a handler: one that is rejected
 * before it has a handler goes through the host's unhandled-rejection hook, three times the cost of all the rest of a
 * refusal.
 */
export function rejectSoon(error: unknown): Promise<never> {
  // biome-ignore lint/suspicious/noThenProperty: resolving with a thenable is what takes the one microtask
  return Promise.resolve({ then: (_: unknown, reject: (error: unknown) => void) => reject(error) } as Promise<never>);
}

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

/**
 * Settles as `promise` does, or rejects with the abort's reason as soon as `scope` aborts. The listener is gone once
 * either has happened, and a late rejection of `promise` is handled.
 */
export function untilAbort<R>(promise: PromiseLike<R>, scope: Abortable): Promise<R> {
  return new Promise<R>((resolve, reject) => {
    const stop = (): void => reject(scope.reason);
    // It may have aborted while `promise` was being made.
    if (scope.aborted) stop();
    else scope.add(stop);
    promise.then(
      (value) => {
        scope.remove(stop);
        resolve(value);
      },
      (error: unknown) => {
        scope.remove(stop);
        reject(error);
      },
    );
  });
}

/**
 * Calls `then` as soon as `isDone`, at the latest after `limit` microtasks: in the same turn of the event loop, and never
 * before the present microtask has ended.
 */
export function afterMicrotasks(limit: number, isDone: () => boolean, then: () => void): void {
  let left = limit;
  const hop = (): void => {
    if (--left <= 0 || isDone()) then();
    else resolved.then(hop);
  };
  resolved.then(hop);
}
const resolved = Promise.resolve();
