import { type Abortable, AbortScope } from '../call/abort.js';
import { abortableOf, type Context } from '../call/context.js';
import type { Next } from '../policy.js';
import type { TimerHandle } from '../time/clock.js';
import type { TimerNode } from '../time/timers.js';

/** Ends the call early: the time is over, or what is around it has aborted. */
export interface Stopper {
  stop(call: LimitedCall, reason: unknown): void;
  due(call: LimitedCall): void;
}

/** Under way; to end early, what is inside has time to honour the abort; the same, and that has settled; ended. */
export const PENDING = 0;
export const STOPPING = 1;
export const SETTLED = 2;
export const ENDED = 3;

/**
 * A call that may end early: its own timer, and what aborts the contexts inside. A plain class with few fields, since
 * one is made for each call; a scope only where code asks for it.
 */
export class LimitedCall implements TimerNode, Abortable {
  declare place: number;
  declare order: number;
  declare readonly keepAlive: boolean;
  dueMs: number;
  state: number;
  ctx: Context;
  next: Next<Context, unknown>;
  readonly timeoutMs: number;
  resolve: ((value: unknown) => void) | undefined;
  reject: ((error: unknown) => void) | undefined;
  stopper: Stopper;
  #scope: AbortScope | undefined;
  /** With a clock that is not the system's. */
  declare handle: TimerHandle;
  /** With something around it that may abort. */
  declare giveUp: (() => void) | undefined;

  constructor(
    stopper: Stopper,
    ctx: Context,
    next: Next<Context, unknown>,
    timeoutMs: number,
    resolve: (value: unknown) => void,
    reject: (error: unknown) => void,
  ) {
    this.place = 0;
    this.order = 0;
    this.dueMs = ctx.startedAt + timeoutMs;
    this.state = PENDING;
    this.ctx = ctx;
    this.next = next;
    this.timeoutMs = timeoutMs;
    this.resolve = resolve;
    this.reject = reject;
    this.stopper = stopper;
    this.#scope = undefined;
  }

  fire(): void {
    this.stopper.due(this);
  }

  /** Made on demand. */
  get scope(): AbortScope {
    this.#scope ??= new AbortScope();
    return this.#scope;
  }

  /** Whether something may still listen to it. */
  get hasScope(): boolean {
    return this.#scope !== undefined;
  }

  /** Of a signal that was read. */
  get controller(): AbortController | undefined {
    return this.#scope?.controller;
  }

  get aborted(): boolean {
    return this.#scope?.aborted === true;
  }

  get reason(): unknown {
    return this.#scope?.reason;
  }

  get signal(): AbortSignal {
    return this.scope.signal;
  }

  add(listener: () => void): void {
    this.scope.add(listener);
  }

  remove(listener: () => void): void {
    this.#scope?.remove(listener);
  }

  /** Ends with what aborts `outer`. */
  follow(outer: Abortable): void {
    this.giveUp = () => this.stopper.stop(this, outer.reason);
    outer.add(this.giveUp);
  }

  unfollow(): void {
    if (this.giveUp === undefined) return;
    (abortableOf(this.ctx) as Abortable).remove(this.giveUp);
    this.giveUp = undefined;
  }

  static {
    (LimitedCall.prototype as { keepAlive: boolean }).keepAlive = true;
    LimitedCall.prototype.giveUp = undefined;
  }
}
