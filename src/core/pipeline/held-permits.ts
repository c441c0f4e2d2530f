import { type Context, onWorkEnd, type WorkListener } from '../call/context.js';
import { throwLater } from '../errors.js';
import type { Clock, TimerHandle } from '../time/clock.js';

/** How a permit ends: with the work, of which `ok` and `result` are the latest outcome, or written off. */
export type Release = (abandoned: boolean, ok: boolean, result: unknown) => void;

/** One permit, in order of the time at which it is written off. */
class Held implements WorkListener {
  older: Held | undefined;
  newer: Held | undefined;

  constructor(
    readonly owner: HeldPermits,
    readonly release: Release,
    readonly dueMs: number,
  ) {}

  workEnded(ok: boolean, result: unknown): void {
    this.owner.end(this, false, ok, result);
  }
}

/** A permit is kept for so long when nothing else is said, ms. */
export const ABANDONED_MS = 30_000;

/**
 * The permits of work that goes on after its call was answered, the oldest first. One timer for all of them writes off what
 * does not end; it does not keep the process alive.
 */
export class HeldPermits {
  readonly #clock: Clock;
  readonly #abandonedMs: number;
  #oldest: Held | undefined;
  #newest: Held | undefined;
  #timer: TimerHandle;
  #waits = false;

  constructor(clock: Clock, abandonedMs: number) {
    this.#clock = clock;
    this.#abandonedMs = abandonedMs;
  }

  /** Keeps a permit of `ctx`, under which work goes on. */
  hold(ctx: Context, release: Release): void {
    const held = new Held(this, release, this.#clock.now() + this.#abandonedMs);
    held.older = this.#newest;
    if (this.#newest === undefined) this.#oldest = held;
    else this.#newest.newer = held;
    this.#newest = held;
    onWorkEnd(ctx, held);
    this.#wait();
  }

  #wait(): void {
    if (this.#waits || this.#oldest === undefined || this.#abandonedMs === Infinity) return;
    this.#waits = true;
    const leftMs = Math.max(0, this.#oldest.dueMs - this.#clock.now());
    this.#timer = this.#clock.setTimer(() => this.#writeOff(), leftMs, { keepAlive: false });
  }

  #writeOff(): void {
    this.#waits = false;
    const now = this.#clock.now();
    for (let held = this.#oldest; held !== undefined && held.dueMs <= now; held = this.#oldest) {
      this.end(held, true, false, undefined);
    }
    this.#wait();
  }

  end(held: Held, abandoned: boolean, ok: boolean, result: unknown): void {
    const { older, newer } = held;
    // Written off already: the work has ended late.
    if (older === undefined && this.#oldest !== held) return;
    if (older === undefined) this.#oldest = newer;
    else older.newer = newer;
    if (newer === undefined) this.#newest = older;
    else newer.older = older;
    held.older = held.newer = undefined;
    if (this.#oldest === undefined && this.#waits) {
      this.#waits = false;
      this.#clock.clearTimer(this.#timer);
    }
    try {
      held.release(abandoned, ok, result);
    } catch (error) {
      // It comes from a timer, or from the end of another promise.
      throwLater(error);
    }
  }
}
