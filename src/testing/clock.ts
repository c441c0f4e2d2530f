import { checkNumber, invalid } from '../core/options/validate.js';
import type { Clock, TimerHandle } from '../core/time/clock.js';
import { TimerQueue } from '../core/time/timers.js';
import { afterPromises } from '../core/time/turns.js';

/** A clock that moves only when told to. */
export interface ManualClock extends Clock {
  /** How many timers are waiting. */
  readonly waiting: number;
  /** When each of them is due, clock ms, soonest first. */
  dueTimes(): number[];
  /**
   * Moves on by `ms`, running the timers that fall due in order, each at its own time; promise chains run to their end
   * before the first, between any two and after the last. Does not wait for what never settles: {@link waiting} and
   * {@link dueTimes} say what is left. Rejects with what a timer's function threw, standing at that timer's time, and
   * when the time stands still because timers of 0 ms are set for ever.
   */
  advance(ms: number): Promise<void>;
  /**
   * Moves on from timer to timer until `promise` settles, and settles alike: for a call under test, which would
   * never settle if it was awaited while the time stands still.
   *
   * @param withinMs at most by so much; finite, ≥ 0. @default 3_600_000, an hour
   * @throws Error that says what is waiting, when no timer is left that could settle it, and when it has not settled
   *   within
   * `withinMs` or 250_000 timers: one that is set again and again is no reason to go on for ever.
   */
  settle<T>(promise: PromiseLike<T>, withinMs?: number): Promise<T>;
  /** Like `advance`, up to clock time `untilMs`; at once when that is past. */
  run(untilMs: number): Promise<void>;
  /** Steps the clock without running anything, also backwards, as a broken host clock does. */
  jump(ms: number): void;
}

/** More timers than this at one time, and manual time would never move on. */
const MAX_AT_ONCE = 100_000;
/** More timers than this in one `settle`, and the promise does not depend on them. */
const MAX_IN_SETTLE = 250_000;
const HOUR_MS = 3_600_000;
/**
 * More readings of the clock than this while it cannot move: code under test waits for the time in a loop of promises.
 */
const MAX_LOOKS = 10_000_000;

class VirtualClock implements ManualClock {
  readonly #timers = new TimerQueue();
  #now: number;
  /** The run in progress: another would move the time under it. */
  #running = false;
  /** How often the clock was asked since the last timer ran, while it was running. */
  #looks = 0;

  constructor(start: number) {
    this.#now = checkNumber('manualClock', 'start', start, {});
  }

  now(): number {
    if (this.#running && ++this.#looks > MAX_LOOKS) {
      throw new Error(
        `manualClock: asked ${MAX_LOOKS} times while it stands at ${this.#now} ms: wait by a timer instead`,
      );
    }
    return this.#now;
  }

  setTimer(fn: () => void, ms: number): TimerHandle {
    return this.#timers.set(fn, this.#now + Math.max(0, ms));
  }

  setTimerAt(fn: () => void, dueMs: number): TimerHandle {
    return this.#timers.set(fn, Math.max(this.#now, dueMs));
  }

  clearTimer(timer: TimerHandle): void {
    this.#timers.clear(timer);
  }

  get waiting(): number {
    return this.#timers.size;
  }

  dueTimes(): number[] {
    return this.#timers.dueTimes();
  }

  async advance(ms: number): Promise<void> {
    return this.run(this.#now + checkNumber('manualClock.advance', 'ms', ms, { min: 0 }));
  }

  async run(untilMs: number): Promise<void> {
    checkNumber('manualClock.run', 'untilMs', untilMs, {});
    await this.#runUntil(untilMs, () => false);
    this.#now = Math.max(this.#now, untilMs);
  }

  async settle<T>(promise: PromiseLike<T>, withinMs = HOUR_MS): Promise<T> {
    if (typeof promise?.then !== 'function') invalid('manualClock.settle', 'promise', 'a promise', promise, true);
    checkNumber('manualClock.settle', 'withinMs', withinMs, { min: 0 });
    let settled = false;
    const note = (): void => {
      settled = true;
    };
    promise.then(note, note);
    const untilMs = this.#now + withinMs;
    let looks = 0;
    await this.#runUntil(untilMs, () => settled || ++looks > MAX_IN_SETTLE);
    if (settled) return promise;
    const after = looks > MAX_IN_SETTLE ? `, after ${MAX_IN_SETTLE} timers` : '';
    if (this.#timers.size > 0 && this.#timers.nextDueMs > untilMs) this.#now = Math.max(this.#now, untilMs);
    throw new Error(`manualClock.settle: the promise has not settled by ${this.#now} ms${after}; ${this.#left()}`);
  }

  async #runUntil(untilMs: number, done: () => boolean): Promise<void> {
    if (this.#running)
      throw new Error('manualClock: advance or run was called while another was in progress; await it');
    this.#running = true;
    try {
      let atOnce = 0;
      await this.#turn();
      while (!done() && this.#timers.nextDueMs <= untilMs && this.#timers.size > 0) {
        atOnce = this.#timers.nextDueMs > this.#now ? 0 : atOnce + 1;
        if (atOnce > MAX_AT_ONCE) {
          const text = `more than ${MAX_AT_ONCE} timers ran at ${this.#now} ms: something sets timers of 0 ms for ever`;
          throw new Error(`manualClock: ${text}; ${this.#left()}`);
        }
        this.#now = Math.max(this.#now, this.#timers.nextDueMs);
        this.#timers.takeDue(this.#now)?.fire();
        await this.#turn();
      }
    } finally {
      this.#running = false;
    }
  }

  #turn(): Promise<void> {
    this.#looks = 0;
    return new Promise(afterPromises);
  }

  /** What is waiting, in words. */
  #left(): string {
    const due = this.dueTimes();
    if (due.length === 0) return 'no timer is waiting that could bring anything about';
    const times = due.slice(0, 5).join(', ') + (due.length > 5 ? ', …' : '');
    return `${due.length === 1 ? '1 timer is' : `${due.length} timers are`} waiting, due at ${times} ms`;
  }

  jump(ms: number): void {
    this.#now += checkNumber('manualClock.jump', 'ms', ms, {});
  }
}

/**
 * Virtual time for tests and simulations: hand it to any policy as `clock`.
 *
 * @param start clock ms at the start. @default 0
 */
export function manualClock(start = 0): ManualClock {
  return new VirtualClock(start);
}
