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
  /** `setTimer` for a moment of this clock: spares those who know the time from reading it again. */
  setTimerAt?(fn: () => void, dueMs: number): TimerHandle;
  /** Forgets the timer; harmless when it has fired or was cleared already. */
  clearTimer(timer: TimerHandle): void;
}

/** Every copy of the library has a system clock of its own, and all tell the same time. */
const SYSTEM = Symbol.for('evenkeel.systemClock');

const timers = /* @__PURE__ */ new HostTimers(() => performance.now());

/**
 * The host's monotonic clock (`performance.now`). All its timers share one host timer, which is `unref`ed where the
 * host can: a process with nothing else to do may end while a call waits.
 */
export const systemClock: Clock & { readonly [SYSTEM]: true } = {
  [SYSTEM]: true,
  now: () => performance.now(),
  setTimer: (fn, ms) => timers.set(fn, performance.now() + Math.max(0, ms)),
  setTimerAt: (fn, dueMs) => timers.set(fn, dueMs),
  clearTimer: (timer) => timers.clear(timer),
};

/** Calls `fn` at clock time `dueMs`. */
export function timerAt(clock: Clock, fn: () => void, dueMs: number): TimerHandle {
  return clock.setTimerAt === undefined ? clock.setTimer(fn, dueMs - clock.now()) : clock.setTimerAt(fn, dueMs);
}

export function sameClock(a: Clock, b: Clock): boolean {
  return a === b || (SYSTEM in a && SYSTEM in b);
}

/** Milliseconds since 1970 by the host's calendar: for what hosts have to agree on, never for measuring. */
export const wallTime = (): number => Date.now();

/** hrtime counts from the same moment in all threads of a Node process; `performance.now` need not. */
const host = globalThis as { process?: { hrtime?: { bigint?: () => bigint } } };

function hostOffset(): number {
  const hrtime = host.process?.hrtime?.bigint;
  if (hrtime === undefined) return performance.timeOrigin;
  let offset = 0;
  let least = Infinity;
  // A thread may be interrupted between the two: the shortest of a few tries counts.
  for (let i = 0; i < 5; i++) {
    const before = performance.now();
    const at = Number(hrtime()) / 1e6;
    const tookMs = performance.now() - before;
    if (tookMs >= least) continue;
    least = tookMs;
    offset = at - before - tookMs / 2;
  }
  return offset;
}

/**
 * What makes of this thread's `clock.now()` a time that can be compared with that of another thread, when both add their
 * own. 0 for a clock other than the system's: what is passed to two threads has to agree by itself.
 */
export function threadOffset(clock: Clock): number {
  // So coarse that adding it to a number of whole ms, and taking it off again, changes nothing.
  return SYSTEM in clock ? Math.round(hostOffset() * 1024) / 1024 : 0;
}
