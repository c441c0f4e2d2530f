/** Turns of the host's event loop: how to wait until every promise chain that can go on has done so. */

/** Resolves once every promise chain that can go on now has done so: one turn of the host's event loop. */
export function hostTurn(): Promise<void> {
  return new Promise((resolve) => {
    if (typeof setImmediate === 'function') {
      setImmediate(resolve);
    } else {
      setTimeout(resolve, 0);
    }
  });
}

/**
 * The host's own as it is when this is loaded: fake timers that a test puts in its place later (`vi.useFakeTimers()`) are
 * moved on by that test alone, which waits for a turn.
 */
const nextTurn: (fn: () => void) => unknown = /* @__PURE__ */ (() =>
  typeof setImmediate === 'function' ? setImmediate : setTimeout)();

/** {@link hostTurn} for virtual time. By callback: an `await` a turn would cost as much as the turn. */
export function afterPromises(fn: () => void): void {
  nextTurn(fn);
}
