/**
 * The error that `make` makes, without a stack trace: taking one costs a simulation more than the call that failed, and
 * would show the simulator's own functions only. It is a native error all the same.
 */
export function withoutStack<E extends Error>(make: () => E): E {
  const { stackTraceLimit } = Error;
  // Not V8, or frozen by a hardened host.
  if (stackTraceLimit === undefined || Object.isFrozen(Error)) return make();
  Error.stackTraceLimit = 0;
  try {
    return make();
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
}
