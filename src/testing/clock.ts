import type { Clock, TimerHandle } from '../core/clock.js';
import { hostTurn, TimerQueue } from '../core/timers.js';
import { checkNumber } from '../core/validate.js';

/** A clock that moves only when told to. */
export interface ManualClock extends Clock {
  /** How many timers are waiting. */
  readonly waiting: number;
  /** When each of them is due, clock ms, soonest first. */
  dueTimes(): number[];
  /**
   * Moves on by `ms`, running the timers that fall due in order, each at its own time; promise chains run to their end
   * before the first, between any two and after the last. Rejects with what a timer's function threw, standing at that
   * timer's time.
   */
  advance(ms: number): Promise<void>;
  /** Like `advance`, up to clock time `untilMs`; at once when that is past. */
  run(untilMs: number): Promise<void>;
  /** Steps the clock without running anything, also backwards, as a broken host clock does. */
  jump(ms: number): void;
}

class VirtualClock implements ManualClock {
  readonly #timers = new TimerQueue();
  #now: number;
  /** The run in progress: another would move the time under it. */
  #running = false;

  constructor(start: number) {
    this.#now = checkNumber('manualClock', 'start', start, {});
  }

  now(): number {
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
    if (this.#running)
      throw new Error('manualClock: advance or run was called while another was in progress; await it');
    this.#running = true;
    try {
      await hostTurn();
      while (this.#timers.nextDueMs <= untilMs) {
        this.#now = Math.max(this.#now, this.#timers.nextDueMs);
        this.#timers.takeDue(this.#now)?.();
        await hostTurn();
      }
      this.#now = Math.max(this.#now, untilMs);
    } finally {
      this.#running = false;
    }
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
