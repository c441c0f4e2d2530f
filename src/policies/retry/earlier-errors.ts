/**
 * The errors of a call's earlier tries, kept beside the last one instead of in it: that is the user's, and may be frozen.
 * They live as long as it does.
 */
const earlier = new WeakMap<object, readonly unknown[]>();

const isObject = (value: unknown): value is object =>
  (typeof value === 'object' && value !== null) || typeof value === 'function';

/** `error`, from which `earlierErrors` then gets to `before`. */
export function withEarlier(error: unknown, before: readonly unknown[]): unknown {
  if (!isObject(error)) return error;
  if (before.length > 0) earlier.set(error, before);
  else earlier.delete(error);
  return error;
}

/**
 * How the tries before the last one ended, oldest first, given what a call under `retry` has rejected with: errors, and
 * answers that `classify` took for failures. Empty after a single try, and for what is no object. Of an object that many
 * calls reject with, those of the latest call.
 */
export const earlierErrors = (error: unknown): readonly unknown[] => (isObject(error) && earlier.get(error)) || [];
