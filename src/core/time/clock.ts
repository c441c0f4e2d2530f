import { OptionReader } from '../options/validate.js';

/** An opaque handle of {@link Clock.setTimer}. */
export type TimerHandle = unknown;

/** How a timer of a {@link Clock} is meant. */
export interface TimerOptions {
  /**
   * Whether the process stays alive until the timer has fired or is cleared: `true` for a wait that code awaits,
   * `false` for what only tidies up. @default true
   */
  keepAlive?: boolean | undefined;
}

/**
 * The only source of time in the library. Monotonic, in milliseconds, fractions kept.
 * Tests pass `manualClock()` of `evenkeel/testing`; production uses {@link systemClock}.
 */
export interface Clock {
  /** Milliseconds since some fixed moment. Must not go backwards. */
  now(): number;
  /**
   * Calls `fn` once, `ms` milliseconds from now or later, never earlier. `Infinity` never fires, and keeps nothing
   * alive. A clock that has no process to keep alive, as a virtual one, may ignore `options`.
   */
  setTimer(fn: () => void, ms: number, options?: TimerOptions): TimerHandle;
  /** `setTimer` for a moment of this clock: saves those who know the time from reading it again. */
  setTimerAt?(fn: () => void, dueMs: number, options?: TimerOptions): TimerHandle;
  /** Forgets the timer; harmless when it has fired or was cleared already. */
  clearTimer(timer: TimerHandle): void;
}

/**
 * The host's objects as they are when this is loaded: a look at a global that is a getter costs a tenth of a reading.
 */
const hostSetTimeout = setTimeout;
const hostPerformance = performance;

/** The host's monotonic time, ms. Fake timers replace `setTimeout` and `performance`, so the first shows both. */
export const hostNow = (): number => (setTimeout === hostSetTimeout ? hostPerformance : performance).now();

/** The longest delay that hosts take, ms; beyond it they fire at once. */
export const MAX_DELAY_MS = 2 ** 31 - 1;

/** What the host returns for a timer; a number in browsers. */
export type HostTimer = ReturnType<typeof setTimeout> & { ref?: () => void; unref?: () => void };

/** A handle that knows how to clear itself, so that the system clock needs to know no kind of timer. */
export interface Cancellable {
  cancel(): void;
}

/** A timer of its own on the host. */
class PlainTimer implements Cancellable {
  #host: HostTimer | undefined;
  readonly #fn: () => void;
  readonly #dueMs: number;
  readonly #keepAlive: boolean;

  constructor(fn: () => void, dueMs: number, keepAlive: boolean) {
    this.#fn = fn;
    this.#dueMs = dueMs;
    this.#keepAlive = keepAlive;
    if (dueMs < Infinity) this.#arm();
  }

  cancel(): void {
    clearTimeout(this.#host);
  }

  #arm(): void {
    const delayMs = Math.min(MAX_DELAY_MS, Math.max(1, Math.ceil(this.#dueMs - hostNow())));
    // Hosts fire up to 1 ms early.
    this.#host = setTimeout(() => (hostNow() < this.#dueMs ? this.#arm() : this.#fn()), delayMs);
    if (!this.#keepAlive) this.#host.unref?.();
  }
}

/**
 * Every copy of the library has a system clock of its own, and all tell the same time. `false` = keeps nothing alive.
 */
const SYSTEM = Symbol.for('evenkeel.systemClock');

type SystemClock = Clock & { readonly [SYSTEM]: boolean };

const newClock = (mayKeepAlive: boolean): SystemClock => ({
  [SYSTEM]: mayKeepAlive,
  now: hostNow,
  setTimer: (fn, ms, options) =>
    new PlainTimer(fn, hostNow() + Math.max(0, ms), mayKeepAlive && options?.keepAlive !== false),
  setTimerAt: (fn, dueMs, options) => new PlainTimer(fn, dueMs, mayKeepAlive && options?.keepAlive !== false),
  clearTimer: (timer) => (timer as Partial<Cancellable> | undefined)?.cancel?.(),
});

/**
 * The host's monotonic clock (`performance.now`). Its timers keep the process alive unless they are set with
 * `{ keepAlive: false }`.
 */
export const systemClock: SystemClock = /* @__PURE__ */ newClock(true);

/** Options of {@link hostClock}. */
export interface HostClockOptions {
  /** `false` = no timer of this clock keeps the process alive, whatever it is set with. @default true */
  keepAlive?: boolean | undefined;
}

/**
 * A clock like {@link systemClock}, for calls that must not keep the process alive: it may end while one of them waits
 * for a time limit, a back-off or a place in a queue. A pipeline counts it and `systemClock` as one clock.
 *
 * @example
 * ```ts
 * const clock = hostClock({ keepAlive: false });
 * const telemetry = pipeline(retry({ clock }), dynamicTimeout({ limitMs: 1_000, maxMs: 5_000, clock }));
 * ```
 * @throws TypeError for a bad option.
 */
export function hostClock(options: HostClockOptions = {}): Clock {
  const read = new OptionReader('hostClock', options);
  const keepAlive = read.boolean('keepAlive', true);
  read.done();
  return newClock(keepAlive);
}

/** Whether it is the system clock of any copy of the library, or one of {@link hostClock}. */
export function isSystemClock(clock: Clock): boolean {
  return clock === systemClock || SYSTEM in clock;
}

/** Whether timers of `clock` may keep the process alive: not those of `hostClock({ keepAlive: false })`. */
export function mayKeepAlive(clock: Clock): boolean {
  return clock === systemClock || (clock as Partial<SystemClock>)[SYSTEM] !== false;
}

export function sameClock(a: Clock, b: Clock): boolean {
  return a === b || (isSystemClock(a) && isSystemClock(b));
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
 * What makes of this thread's `clock.now()` a time that can be compared with that of another thread, when both add
 * their own. 0 for a clock other than the system's: what is passed to two threads has to agree by itself.
 */
export function threadOffset(clock: Clock): number {
  // So coarse that adding it to a number of whole ms, and taking it off again, changes nothing.
  return isSystemClock(clock) ? Math.round(hostOffset() * 1024) / 1024 : 0;
}
