import { type Abortable, AbortScope } from '../call/abort.js';
import { abortableOf, type Context, deriveAbortable } from '../call/context.js';
import { callNext, whenSettled } from '../call/promises.js';
import type { Next } from '../policy.js';
import type { TimerHandle } from '../time/clock.js';
import { timerAt } from '../time/timers.js';

/** What decides how long calls may take, and learns from how they end. */
export interface Limit {
  /** How long a call may take from `ctx.startedAt` on. */
  timeoutMs(): number;
  /** A call ended by itself, in time. What it throws is the outcome. */
  answered(ok: boolean, result: unknown, elapsedMs: number, ctx: Context): void;
  /** A call did not; the error for those further out. */
  timedOut(at: number, timeoutMs: number): unknown;
}

/** Tells those around a time limit; returns, promises or throws what their caller gets. */
export type Leave = (
  ok: boolean,
  result: unknown,
  ctx: Context,
  next: Next<Context, unknown>,
  elapsedMs: number | undefined,
) => unknown;

/** A call that may end early. It is what aborts the context of those further in. */
class LimitedCall extends AbortScope {
  pending = true;
  timer: TimerHandle;
  giveUp: (() => void) | undefined;

  constructor(
    readonly ctx: Context,
    readonly next: Next<Context, unknown>,
    readonly timeoutMs: number,
    readonly resolve: (value: unknown) => void,
    readonly reject: (error: unknown) => void,
  ) {
    super();
    // The promise made for the call is what stops waiting.
    this.abandons = false;
  }

  /** True for the first who asks: the call ends with what that one says. */
  end(): boolean {
    if (!this.pending) return false;
    this.pending = false;
    this.ctx.clock.clearTimer(this.timer);
    if (this.giveUp !== undefined) (abortableOf(this.ctx) as Abortable).remove(this.giveUp);
    return true;
  }
}

/** What waits for the function, as in gate.ts: it settles once, then it waits for another call's. */
interface Waiting {
  call: LimitedCall | undefined;
  readonly onValue: (value: unknown) => void;
  readonly onError: (error: unknown) => void;
}

let capturedResolve: (value: unknown) => void;
let capturedReject: (error: unknown) => void;
/** One executor for all promises, instead of a closure for each. */
const capture = (resolve: (value: unknown) => void, reject: (error: unknown) => void): void => {
  capturedResolve = resolve;
  capturedReject = reject;
};

const MAX_IDLE = 1_024;

/** The calls of one time limit: the first of answer, time-out and the caller's abort counts. */
export class LimitedCalls {
  readonly #limit: Limit;
  readonly #leave: Leave | undefined;
  readonly #idle: Waiting[] = [];

  constructor(limit: Limit, leave: Leave | undefined) {
    this.#limit = limit;
    this.#leave = leave;
  }

  /** Throws only where `next` has not been called. */
  start(ctx: Context, next: Next<Context, unknown>): Promise<unknown> {
    const outer = abortableOf(ctx);
    if (outer?.aborted) throw outer.reason;
    const promise = new Promise(capture);
    const call = new LimitedCall(ctx, next, this.#limit.timeoutMs(), capturedResolve, capturedReject);
    const inner = deriveAbortable(ctx, call);
    const waiting = this.#idle.pop() ?? this.#newWaiting();
    waiting.call = call;
    call.timer = timerAt(ctx.clock, () => this.#due(call), ctx.startedAt + call.timeoutMs);
    if (outer !== undefined) this.#heed(outer, call);
    whenSettled(callNext(inner, next), waiting.onValue, waiting.onError);
    return promise;
  }

  #heed(outer: Abortable, call: LimitedCall): void {
    call.giveUp = () => this.#stop(call, outer.reason);
    outer.add(call.giveUp);
  }

  #newWaiting(): Waiting {
    const waiting: Waiting = {
      call: undefined,
      onValue: (value) => this.#answer(waiting, true, value),
      onError: (error) => this.#answer(waiting, false, error),
    };
    return waiting;
  }

  #answer(waiting: Waiting, ok: boolean, result: unknown): void {
    const call = waiting.call as LimitedCall;
    waiting.call = undefined;
    if (this.#idle.length < MAX_IDLE) this.#idle.push(waiting);
    if (!call.end()) return;
    let elapsedMs: number | undefined;
    try {
      elapsedMs = call.ctx.clock.now() - call.ctx.startedAt;
      this.#limit.answered(ok, result, elapsedMs, call.ctx);
    } catch (error) {
      ok = false;
      result = error;
    }
    this.#settle(call, ok, result, elapsedMs);
  }

  #due(call: LimitedCall): void {
    if (call.pending) this.#stop(call, this.#limit.timedOut(call.ctx.clock.now(), call.timeoutMs));
  }

  #stop(call: LimitedCall, reason: unknown): void {
    if (!call.end()) return;
    // In a microtask, as of a promise that rejects here: none of those outside is called from within a timer.
    Promise.resolve().then(() => this.#settle(call, false, reason, undefined));
    call.abort(reason);
  }

  #settle(
    { ctx, next, resolve, reject }: LimitedCall,
    ok: boolean,
    result: unknown,
    elapsedMs: number | undefined,
  ): void {
    const leave = this.#leave;
    if (leave !== undefined) {
      try {
        resolve(leave(ok, result, ctx, next, elapsedMs));
      } catch (error) {
        reject(error);
      }
    } else if (ok) resolve(result);
    else reject(result);
  }
}
