import type { Clock, TimerHandle } from '../core/clock.js';
import { hostTurn, TimerQueue } from '../core/timers.js';

/** More events than this in one instant: something sets timers of 0 ms for ever. */
const MAX_AT_ONCE = 1_000_000;

/**
 * Virtual time of a simulation. Promises run to their end after each event that may have woken one, which takes a turn
 * of the event loop (0.7 µs); the other events, most of them, go without.
 */
export class Timeline {
  readonly #events = new TimerQueue();
  #now = 0;
  #awake = false;
  #offsetMs = 0;
  #stopped = false;

  /** What the policies see: with the steps of a broken host clock, if there are any. */
  readonly clock: Clock;

  constructor() {
    const due = (fn: () => void, dueMs: number): TimerHandle =>
      this.at(dueMs, () => {
        this.#awake = true;
        fn();
      });
    this.clock = {
      now: () => this.#now + this.#offsetMs,
      setTimer: (fn, ms) => due(fn, this.#now + Math.max(0, ms)),
      setTimerAt: (fn, dueMs) => due(fn, Math.max(this.#now, dueMs - this.#offsetMs)),
      clearTimer: (timer) => this.clear(timer),
    };
  }

  now(): number {
    return this.#now;
  }

  /** An event of the simulation itself. It calls {@link wake} if it may have settled a promise. */
  at(dueMs: number, fn: () => void): TimerHandle {
    return this.#events.set(fn, dueMs);
  }

  clear(timer: TimerHandle): void {
    this.#events.clear(timer);
  }

  wake(): void {
    this.#awake = true;
  }

  stepClock(byMs: number): void {
    this.#offsetMs += byMs;
  }

  /** Ends the run after the event in progress. */
  stop(): void {
    this.#stopped = true;
  }

  /** Plays everything up to `untilMs`, inclusive. */
  async run(untilMs: number): Promise<void> {
    let atOnce = 0;
    await hostTurn();
    while (this.#events.nextDueMs <= untilMs && !this.#stopped) {
      const dueMs = this.#events.nextDueMs;
      atOnce = dueMs > this.#now ? 0 : atOnce + 1;
      if (atOnce > MAX_AT_ONCE)
        throw new Error(
          `simulate: more than ${MAX_AT_ONCE} events at ${dueMs} ms: something sets timers of 0 ms for ever`,
        );
      this.#now = dueMs;
      this.#events.takeDue(dueMs)?.();
      if (this.#awake) {
        this.#awake = false;
        await hostTurn();
      }
    }
    this.#now = untilMs;
  }
}
