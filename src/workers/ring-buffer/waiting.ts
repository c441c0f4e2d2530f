import type { Clock } from '../../core/time/clock.js';
import { HostHold, timerAt } from '../../core/time/timers.js';
import { signalOf } from './layout.js';
import type { SharedMemory } from './memory.js';
import type { ReadSide } from './protocol.js';

/** How often a host without `Atomics.waitAsync` looks, ms. */
const POLL_MS = 4;

type WaitAsync = (
  words: Int32Array,
  word: number,
  expected: number,
) => { async: false } | { async: true; value: Promise<string> };

/** One `wait()`. */
interface Waiter {
  done(isThere: boolean): void;
  fail(error: unknown): void;
}

/**
 * Waits for messages without blocking: all of a reader's waits share one place in the host's list of waiters, and while
 * there is any the event loop is kept alive.
 */
export class Waiting {
  readonly #waiters = new Set<Waiter>();
  readonly #hold = new HostHold();
  /** Whether a wait of the host's, or a timer in its place, is under way. */
  #armed = false;

  constructor(
    private readonly memory: SharedMemory,
    private readonly side: ReadSide,
    private readonly clock: Clock,
  ) {}

  /**
   * Resolves with true when there is something to read, false after `timeoutMs`; rejects with the reason of `signal`,
   * which must not have aborted yet, and when the reader's place has been taken over.
   */
  wait(timeoutMs: number, signal?: AbortSignal): Promise<boolean> {
    return new Promise((resolve, reject) => {
      const settle = (end: () => void): void => {
        this.#waiters.delete(waiter);
        this.clock.clearTimer(timer);
        signal?.removeEventListener('abort', onAbort);
        if (this.#waiters.size === 0) this.#hold.release();
        end();
      };
      const waiter: Waiter = {
        done: (isThere) => settle(() => resolve(isThere)),
        fail: (error) => settle(() => reject(error)),
      };
      const onAbort = (): void => {
        waiter.fail((signal as AbortSignal).reason);
        this.#leave();
      };
      const onTimeout = (): void => {
        waiter.done(this.side.hasUnread());
        this.#leave();
      };
      const timer = timerAt(this.clock, onTimeout, this.clock.now() + timeoutMs);
      signal?.addEventListener('abort', onAbort);
      this.#waiters.add(waiter);
      this.#hold.hold();
      try {
        this.#arm();
      } catch (error) {
        waiter.fail(error);
      }
    });
  }

  /** Ends all waits with false. */
  close(): void {
    this.#settleAll(false);
    this.#leave();
  }

  /** Waits again, where a wait of the thread itself has taken this one's announcement back. */
  renew(): void {
    this.#cancel();
  }

  #settleAll(isThere: boolean): void {
    for (const waiter of [...this.#waiters]) waiter.done(isThere);
  }

  /** Gives up the place when no call waits any more; a wake that came in between goes to another reader. */
  #leave(): void {
    if (this.#waiters.size > 0) return;
    this.#cancel();
    this.side.passOn();
  }

  /** The host has no way to take a wait back, but to notify it. */
  #cancel(): void {
    if (!this.#armed) return;
    this.memory.add(signalOf(this.side.id), 1);
    this.memory.notify(signalOf(this.side.id));
  }

  #arm(): void {
    if (this.#armed || this.#waiters.size === 0) return;
    const waitAsync = (Atomics as { waitAsync?: WaitAsync }).waitAsync;
    if (waitAsync === undefined) this.#poll();
    else this.#sleep(waitAsync);
  }

  #sleep(waitAsync: WaitAsync): void {
    while (!this.#armed) {
      const signal = this.side.announce();
      if (signal === undefined) {
        this.#settleAll(true);
        return;
      }
      const wait = waitAsync(this.memory.words, signalOf(this.side.id), signal);
      this.#armed = wait.async;
      if (wait.async) wait.value.then(this.#onWake);
    }
  }

  readonly #onWake = (): void => {
    this.#armed = false;
    try {
      this.#arm();
    } catch (error) {
      for (const waiter of [...this.#waiters]) waiter.fail(error);
    }
  };

  /** Awake as far as the writer knows: it looks by itself. */
  #poll(): void {
    this.#armed = !this.side.hasUnread();
    if (this.#armed) this.clock.setTimer(this.#onWake, POLL_MS, { keepAlive: false });
    else this.#settleAll(true);
  }
}
