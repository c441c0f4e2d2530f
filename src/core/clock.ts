import { HostTimers } from './timers.js';

/** An opaque handle of {@link Clock.setTimer}. */
export type TimerHandle = unknown;

/**
 * The only source of time in the library. Monotonic, in milliseconds, fractions kept.
 * Tests pass `manualClock()` of `evenkeel/testing`; production uses {@link systemClock}.
 */
export interface Clock {
  /** Milliseconds since some fixed moment. Must not go backwards. */
  now(): number;
  /**
   * Calls `fn` once, `ms` milliseconds from now or later, never earlier. Must not keep the process alive.
   * `Infinity` never fires.
   */
  setTimer(fn: () => void, ms: number): TimerHandle;
  /** Forgets the timer; harmless when it has fired or was cleared already. */
  clearTimer(timer: TimerHandle): void;
}

const timers = /* @__PURE__ */ new HostTimers(() => performance.now());

/**
 * The host's monotonic clock (`performance.now`). All its timers share one host timer, which is `unref`ed where the
 * host can: a process with nothing else to do may end while a call waits.
 */
export const systemClock: Clock = {
  now: () => performance.now(),
  setTimer: (fn, ms) => timers.set(fn, ms),
  clearTimer: (timer) => timers.clear(timer),
};
