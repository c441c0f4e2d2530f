import { SignalScope } from '../../core/call/abort.js';
import { TimeoutError } from '../../core/errors.js';
import type { Clock, TimerHandle } from '../../core/time/clock.js';
import { timerAt } from '../../core/time/timers.js';
import type { Entry } from './ledger.js';

/** The outcome of a call that was accepted. */
export type Outcome = 'done' | 'failed' | 'droppedByAge' | 'setAside' | 'workerLost' | 'abandoned';

/** What can be said of one call. */
export interface SetCallOptions {
  /**
   * Gives the call up: it rejects with the signal's reason. A worker that has begun goes on, and its result is dropped.
   */
  signal?: AbortSignal | undefined;
  /**
   * Gives the call up after this time, ms, > 0, with a {@link TimeoutError}; no worker begins with it after that.
   * @default Infinity
   */
  timeoutMs?: number | undefined;
}

/** What its set gives a call. */
export interface CallOwner {
  readonly name: string;
  readonly clock: Clock;
  /** Told once of each call. */
  ended(call: Call, outcome: Outcome): void;
}

/** A call that was accepted. Its message may outlive it, until a worker has taken that. */
export class Call implements Entry {
  kills = 0;
  /** Of its message in the ring. */
  place = 0;
  timeoutMs = Infinity;
  /** The message, behind room for its header. */
  readonly frame: Uint8Array;
  /** Clock ms. */
  readonly acceptedAt: number;
  /** By the clock that all threads share, ms. */
  readonly expiresAt: number;
  readonly #owner: CallOwner;
  readonly #resolve: (answer: Uint8Array) => void;
  readonly #reject: (error: unknown) => void;
  #timer: TimerHandle;
  #scope: SignalScope | undefined;
  #pending = true;

  constructor(
    owner: CallOwner,
    frame: Uint8Array,
    acceptedAt: number,
    expiresAt: number,
    resolve: (answer: Uint8Array) => void,
    reject: (error: unknown) => void,
  ) {
    this.#owner = owner;
    this.frame = frame;
    this.acceptedAt = acceptedAt;
    this.expiresAt = expiresAt;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  get pending(): boolean {
    return this.#pending;
  }

  /** Has the signal and the time limit give it up. */
  limit(signal: AbortSignal | undefined, timeoutMs: number): void {
    this.timeoutMs = timeoutMs;
    if (signal !== undefined) {
      this.#scope = SignalScope.of(signal);
      this.#scope.add(this.#giveUp);
    }
    if (timeoutMs === Infinity) return;
    this.#timer = timerAt(this.#owner.clock, () => this.timeOut(), this.acceptedAt + timeoutMs);
  }

  answer(bytes: Uint8Array): void {
    if (this.#end('done')) this.#resolve(bytes);
  }

  fail(outcome: Exclude<Outcome, 'done'>, error: unknown): void {
    if (this.#end(outcome)) this.#reject(error);
  }

  timeOut(): void {
    this.fail('abandoned', new TimeoutError(this.#owner.name, this.timeoutMs));
  }

  readonly #giveUp = (): void => this.fail('abandoned', (this.#scope as SignalScope).reason);

  #end(outcome: Outcome): boolean {
    if (!this.#pending) return false;
    this.#pending = false;
    this.#scope?.remove(this.#giveUp);
    this.#owner.clock.clearTimer(this.#timer);
    this.#owner.ended(this, outcome);
    return true;
  }
}
