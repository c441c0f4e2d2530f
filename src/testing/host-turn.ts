/**
 * The host's own, as it is when this is loaded: fake timers that a test puts in its place later (`vi.useFakeTimers()`) are
 * moved on by that test alone, which waits for a turn.
 */
const nextTurn: (fn: () => void) => unknown = /* @__PURE__ */ (() =>
  typeof setImmediate === 'function' ? setImmediate : setTimeout)();

/** Calls `fn` when no promise has anything left to do. By callback: an `await` a turn would cost as much as the turn. */
export function afterPromises(fn: () => void): void {
  nextTurn(fn);
}
