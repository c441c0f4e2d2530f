import type { Clock, TimerHandle } from '../../../core/time/clock.js';
import { TimerQueue } from '../../../core/time/timers.js';
import type { Turn } from '../../../core/time/turns.js';

/** More events than this in one instant: something sets timers of 0 ms for ever. */
const MAX_AT_ONCE = 1_000_000;

/**
 * Virtual time of a simulation. All promise chains run to their end after each event that may have settled a promise,
 * which takes a turn; the other events, most of them, go without.
 *
 * Not one turn an instant: an answer and a time-out may be due at the same time, and the first must clear the second.
 */
export class Timeline {
  readonly #events = new TimerQueue();
  readonly #turn: Turn;
  #now = 0;
  #awake = false;
  #offsetMs = 0;
  #stopped = false;
  /** Events in this instant. */
  #atOnce = 0;

  /** What the policies see: with the steps of a broken host clock, if there are any. */
  readonly clock: Clock;

  /** `turn` says how promise chains run to their end. */
  constructor(turn: Turn) {
    this.#turn = turn;
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
  run(untilMs: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const turn = this.#turn;
      const go = (): void => {
        // What woke during the turn has run to its end in it.
        this.#awake = false;
        try {
          if (this.#playSome(untilMs)) {
            turn(go);
          } else {
            this.#now = untilMs;
            resolve();
          }
        } catch (error) {
          reject(error);
        }
      };
      turn(go);
    });
  }

  /** Plays on until promises have to run; false = all is played. */
  #playSome(untilMs: number): boolean {
    const events = this.#events;
    while (!this.#stopped) {
      const dueMs = events.nextDueMs;
      if (dueMs > untilMs) return false;
      this.#atOnce = dueMs > this.#now ? 0 : this.#atOnce + 1;
      if (this.#atOnce > MAX_AT_ONCE) throw standstill(dueMs);
      this.#now = dueMs;
      events.takeDue(dueMs)?.fire();
      if (this.#awake) return true;
    }
    return false;
  }
}

const standstill = (atMs: number): Error =>
  new Error(`simulate: more than ${MAX_AT_ONCE} events at ${atMs} ms: something sets timers of 0 ms for ever`);
