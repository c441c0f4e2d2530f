import { abortableOf, CallContext, type Context, deriveAbortable, isWorking, openBodyOf } from '../call/context.js';
import { followAbort } from '../call/follow.js';
import { callFunction, graceOf } from '../call/function.js';
import { afterMicrotasks, callNext, whenSettled } from '../call/promises.js';
import type { Gate, Next } from '../policy.js';
import { systemClock } from '../time/clock.js';
import { hostTimers, timerAt } from '../time/timers.js';
import { ENDED, LimitedCall, PENDING, SETTLED, STOPPING, type Stopper } from './limited-call.js';
import type { Around, Inside, Limited } from './step.js';

type AnyNext = Next<Context, unknown>;

/** What decides how long calls may take, and learns from how they end. */
export interface Limit {
  /** How long a call may take from `ctx.startedAt` on. */
  timeoutMs(): number;
  /** A call ended by itself, in time. What it throws is the outcome. */
  answered(ok: boolean, result: unknown, elapsedMs: number, ctx: Context): void;
  /** A call did not; the error for the layers around the limit. */
  timedOut(at: number, timeoutMs: number): unknown;
}

/**
 * What waits for what is inside a limit, as in gate-step.ts: it settles once, then it waits for another call's. What
 * never settles keeps it in memory, so it lets go of a call that is over.
 */
class Waiting implements Stopper {
  call: LimitedCall | undefined = undefined;
  /** The context of the call around the limit, where that has to be told that its function has ended. */
  working: CallContext | undefined = undefined;
  readonly #owner: LimitedCalls;
  readonly onValue = (value: unknown): void => this.#owner.settled(this, true, value);
  readonly onError = (error: unknown): void => this.#owner.settled(this, false, error);

  constructor(owner: LimitedCalls) {
    this.#owner = owner;
  }

  due(call: LimitedCall): void {
    this.#owner.due(this, call);
  }

  stop(call: LimitedCall, reason: unknown): void {
    this.#owner.stop(this, call, reason);
  }
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
export class LimitedCalls implements Limited {
  readonly #limit: Limit;
  readonly #around: Around;
  readonly #inside: Inside;
  readonly #idle: Waiting[] = [];

  constructor(limit: Limit, around: Around, inside: Inside) {
    this.#limit = limit;
    this.#around = around;
    this.#inside = inside;
  }

  /** Throws only where `next` has not been called. */
  start(ctx: Context, next: AnyNext): Promise<unknown> {
    const outer = abortableOf(ctx);
    if (outer?.aborted) throw outer.reason;
    const timeoutMs = this.#limit.timeoutMs();
    const promise = new Promise(capture);
    const waiting = this.#idle.pop() ?? new Waiting(this);
    const call = new LimitedCall(waiting, ctx, next, timeoutMs, capturedResolve, capturedReject);
    const isFunction = next === callFunction;
    // Before the timer is set: it throws for what is no context.
    const inner = isFunction ? CallContext.limited(ctx as CallContext, call) : deriveAbortable(ctx, call);
    waiting.call = call;
    if (ctx.clock === systemClock) hostTimers.add(call);
    else this.#setTimer(call);
    if (outer !== undefined) call.follow(outer);
    if (isFunction) {
      const own = ctx as CallContext;
      waiting.working = own;
      whenSettled(CallContext.start(inner as CallContext, own), waiting.onValue, waiting.onError);
    } else whenSettled(callNext(inner, next), waiting.onValue, waiting.onError);
    return promise;
  }

  /** Apart from `start`, where a closure would put the call on the heap once more for each call. */
  #setTimer(call: LimitedCall): void {
    call.handle = timerAt(call.ctx.clock, () => call.fire(), call.dueMs);
  }

  /** What is inside has settled. */
  settled(waiting: Waiting, ok: boolean, result: unknown): void {
    const { call, working } = waiting;
    waiting.call = undefined;
    if (this.#idle.length < MAX_IDLE) this.#idle.push(waiting);
    let works: boolean;
    if (working !== undefined) {
      waiting.working = undefined;
      works = CallContext.ended(working, ok, result);
    } else works = call !== undefined && isWorking(call.ctx);
    if (call?.state !== PENDING) {
      if (call?.state === STOPPING) call.state = SETTLED;
      return;
    }
    call.state = ENDED;
    const { ctx } = call;
    this.#clear(call);
    if (call.giveUp !== undefined) this.#unlink(call, ok, result);
    let elapsedMs: number | undefined;
    try {
      elapsedMs = ctx.clock.now() - ctx.startedAt;
      this.#limit.answered(ok, result, elapsedMs, ctx);
    } catch (error) {
      this.#leave(call, false, error, elapsedMs);
      return;
    }
    const { gates } = this.#around;
    // No closure may stand in this function: it would put all that it names on the heap, for each call.
    if (ok && gates !== undefined && !works) this.#succeed(call, result, gates, elapsedMs < 0 ? 0 : elapsedMs);
    else this.#leave(call, ok, result, elapsedMs);
  }

  #succeed(call: LimitedCall, value: unknown, gates: readonly Gate[], spentMs: number): void {
    const { ctx, resolve } = call;
    let i = gates.length - 1;
    try {
      for (; i >= 0; i--) (gates[i] as Gate).release('success', spentMs, ctx);
    } catch (error) {
      this.#failAround(call, i, error, spentMs);
      return;
    }
    resolve?.(value);
  }

  #failAround(call: LimitedCall, place: number, error: unknown, spentMs: number): void {
    this.#end(call, () => this.#around.failAround(place, error, call.ctx, call.next, spentMs));
  }

  #leave(call: LimitedCall, ok: boolean, result: unknown, elapsedMs: number | undefined): void {
    this.#end(call, () => this.#around.leave(ok, result, call.ctx, call.next, elapsedMs));
  }

  #clear(call: LimitedCall): void {
    const { clock } = call.ctx;
    if (clock === systemClock) hostTimers.clear(call);
    else clock.clearTimer(call.handle);
  }

  /**
   * What is read of the answer still aborts with the caller: a body for as long as it is open, else a signal weakly.
   */
  #unlink(call: LimitedCall, ok: boolean, result: unknown): void {
    const outer = abortableOf(call.ctx);
    const body = ok ? openBodyOf(call.ctx) : undefined;
    if (outer === undefined) return;
    if (body === undefined) {
      call.unfollow();
      if (ok && call.hasScope) followAbort(outer, call, result);
      return;
    }
    const abort = (): void => call.scope.abort(outer.reason);
    call.unfollow();
    outer.add(abort);
    body.add(() => {
      outer.remove(abort);
      followAbort(outer, call, result);
    });
  }

  due(waiting: Waiting, call: LimitedCall): void {
    if (call.state !== PENDING) return;
    this.stop(waiting, call, this.#limit.timedOut(call.ctx.clock.now(), call.timeoutMs));
  }

  /**
   * Ends a call whose function has not. What is inside has some microtasks to honour the abort, so that it is settled
   * before what is around this step hears of the end; none of those outside is called from within a timer.
   */
  stop(waiting: Waiting, call: LimitedCall, reason: unknown): void {
    if (call.state !== PENDING) return;
    call.state = STOPPING;
    this.#clear(call);
    call.unfollow();
    call.scope.abort(reason);
    const { ctx, next } = call;
    const grace = next === callFunction ? graceOf(ctx as CallContext) : this.#inside.microtasks;
    afterMicrotasks(
      grace,
      () => call.state === SETTLED,
      () => {
        call.state = ENDED;
        if (waiting.call === call) waiting.call = undefined;
        this.#end(call, () => this.#around.leave(false, reason, ctx, next, undefined));
      },
    );
  }

  /** Answers the caller, and keeps nothing of the call: its function may hang for ever, with its context. */
  #end(call: LimitedCall, outcome: () => unknown): void {
    const { resolve, reject } = call;
    call.resolve = call.reject = undefined;
    try {
      resolve?.(outcome());
    } catch (error) {
      reject?.(error);
    }
  }
}
