/** The errors of a call's earlier tries, reachable from the last one. */

// `Symbol.for`: another copy of the library (ESM beside CommonJS) may have made the call.
const EARLIER = Symbol.for('evenkeel.earlierErrors');

/** For errors that cannot be extended, which only this copy of the library can tell about. */
const ofFrozen = new WeakMap<object, readonly unknown[]>();

const isObject = (value: unknown): value is object =>
  (typeof value === 'object' && value !== null) || typeof value === 'function';

/** `error`, from which `earlierErrors` then gets to `before`. */
export function withEarlier(error: unknown, before: readonly unknown[]): unknown {
  if (!isObject(error) || (before.length === 0 && earlierErrors(error).length === 0)) return error;
  // Not enumerable: logs, JSON, copies and comparisons of the user's error stay as they were.
  const property = { value: before, configurable: true, writable: true, enumerable: false };
  if (!Reflect.defineProperty(error, EARLIER, property)) ofFrozen.set(error, before);
  return error;
}

/**
 * How the tries before the last one ended, oldest first, given what a call under `retry` has rejected with: errors, and
 * answers that `classify` took for failures. Empty after a single try, and for a value that is not an object. Of an
 * object that many calls reject with, those of the latest call. Errors of another copy of the library (ESM beside
 * CommonJS) have theirs too, unless they are frozen.
 */
export function earlierErrors(error: unknown): readonly unknown[] {
  if (!isObject(error)) return [];
  return ofFrozen.get(error) ?? (error as { [EARLIER]?: readonly unknown[] })[EARLIER] ?? [];
}
