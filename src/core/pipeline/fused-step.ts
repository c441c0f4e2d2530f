import { abortableOf, CallContext, type Context, deriveAbortable, isWorking, openBodyOf } from '../call/context.js';
import { followAbort } from '../call/follow.js';
import { callFunction, checkContext, graceOf, untilFunctionEnds } from '../call/function.js';
import { afterMicrotasks, callNext, rejectSoon, untilAbort, whenSettled } from '../call/promises.js';
import type { Rejection } from '../errors.js';
import type { Gate, Next, Policy } from '../policy.js';
import { systemClock } from '../time/clock.js';
import { hostTimers, timerAt } from '../time/timers.js';
import { GateStep, refusedBy } from './gate-step.js';
import { ENDED, type Limit, LimitedCall, PENDING, SETTLED, STOPPING, type Stopper } from './limited-call.js';
import { isGate, stepOf } from './link.js';
import { Fusible, type Inside, type Layer, type Step } from './step.js';

type AnyNext = Next<Context, unknown>;

/** What waits for what is inside a limit, as in gate-step.ts: it settles once, then it waits for another call's. */
interface Waiting {
  call: LimitedCall | undefined;
  /** The context of the call around the limit, where that has to be told that its function has ended. */
  working: CallContext | undefined;
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

/** Gates, outcome hooks and a time limit on one promise. */
export class FusedStep implements Step, Stopper {
  /** Outermost first. */
  readonly #layers: readonly Layer[];
  /** What of this step is inside each hook. */
  readonly #inner: readonly (Step | undefined)[];
  readonly #head: GateStep | undefined;
  readonly #limit: Limit | undefined;
  /** All gates, outermost first, where a success concerns nothing else and none of them judges. */
  readonly #flat: readonly Gate[] | undefined;
  readonly #inside: Inside;
  readonly #idle: Waiting[] = [];

  /** `labels` are what the gates are called in refusals. */
  constructor(policies: readonly Policy<never>[], labels: readonly string[], inside: Inside) {
    const layers: Layer[] = [];
    const again: (Step | undefined)[] = [];
    let limit: Limit | undefined;
    for (let i = 0, from = 0; from < policies.length; from = i) {
      const policy = policies[i++] as Policy<never>;
      if (policy instanceof Fusible) {
        if (policy.innermost) {
          limit = policy as Fusible as unknown as Limit;
        } else {
          layers.push(policy as Fusible as unknown as Layer);
          again.push(i === policies.length ? undefined : stepOf(policies.slice(i), labels.slice(i), inside));
        }
      } else {
        while (i < policies.length && isGate(policies[i] as Policy<never>)) i++;
        layers.push(new GateStep(policies.slice(from, i) as Gate<never>[], labels.slice(from, i), inside));
        again.push(undefined);
      }
    }
    this.#layers = layers;
    this.#inner = again;
    this.#head = layers[0] instanceof GateStep ? layers[0] : undefined;
    this.#limit = limit;
    this.#inside = inside;
    const gates = layers.flatMap((layer) => (layer instanceof GateStep ? layer.gates : []));
    const plain =
      layers.every((layer) => layer instanceof GateStep || layer.succeed === undefined) &&
      gates.every((gate) => gate.classify === undefined);
    if (plain) this.#flat = gates;
  }

  admit(ctx: Context): Rejection | undefined {
    return this.#head?.admit(ctx);
  }

  run<C extends Context, R>(ctx: C, next: Next<C, R>): Promise<R> {
    try {
      const abortable = abortableOf(ctx);
      if (abortable?.aborted) throw abortable.reason;
      const rejection = this.admit(ctx);
      return rejection === undefined ? this.proceed(ctx, next) : rejectSoon(refusedBy(rejection, ctx));
    } catch (error) {
      return rejectSoon(error);
    }
  }

  proceed<C extends Context, R>(ctx: C, next: Next<C, R>): Promise<R> {
    return this.#enter(ctx, next as unknown as AnyNext) as Promise<R>;
  }

  #enter(ctx: Context, next: AnyNext): Promise<unknown> {
    const layers = this.#layers;
    let i = this.#head === undefined ? 0 : 1;
    try {
      for (; i < layers.length; i++) {
        const rejection = (layers[i] as Layer).admit(ctx);
        if (rejection !== undefined) return this.#wait(rejectSoon(refusedBy(rejection, ctx)), i, ctx, next);
      }
      if (this.#limit !== undefined) return this.#start(this.#limit, ctx, next);
    } catch (error) {
      return this.#wait(rejectSoon(error), i, ctx, next);
    }
    if (next === callFunction) return this.#waitForFunction(ctx, next);
    const abortable = this.#inside.ends ? undefined : abortableOf(ctx);
    const promise = callNext(ctx, next);
    const ends = abortable === undefined ? promise : untilAbort(promise, abortable, this.#inside.microtasks, true);
    return this.#wait(ends, i, ctx, next);
  }

  #waitForFunction(ctx: Context, next: AnyNext): Promise<unknown> {
    checkContext(ctx);
    const { length } = this.#layers;
    const promise = CallContext.start(ctx, ctx);
    const abortable = CallContext.abortableOf(ctx);
    if (abortable !== undefined) return this.#wait(untilFunctionEnds(promise, ctx, abortable), length, ctx, next);
    return whenSettled(
      promise,
      (value) => {
        CallContext.ended(ctx, true, value);
        return this.#leave(length, true, value, ctx, next, undefined);
      },
      (error) => {
        CallContext.ended(ctx, false, error);
        return this.#leave(length, false, error, ctx, next, undefined);
      },
    );
  }

  /** Throws only where `next` has not been called. */
  #start(limit: Limit, ctx: Context, next: AnyNext): Promise<unknown> {
    const outer = abortableOf(ctx);
    if (outer?.aborted) throw outer.reason;
    const timeoutMs = limit.timeoutMs();
    const promise = new Promise(capture);
    const call = new LimitedCall(this, ctx, next, timeoutMs, capturedResolve, capturedReject);
    const inner = deriveAbortable(ctx, call);
    const waiting = this.#idle.pop() ?? this.#newWaiting();
    waiting.call = call;
    if (ctx.clock === systemClock) hostTimers.add(call);
    else call.handle = timerAt(ctx.clock, () => this.due(call), call.dueMs);
    if (outer !== undefined) call.follow(outer);
    let ends: Promise<unknown>;
    if (next === callFunction) {
      checkContext(ctx);
      waiting.working = ctx;
      ends = CallContext.start(inner as CallContext, ctx);
    } else ends = callNext(inner, next);
    whenSettled(ends, waiting.onValue, waiting.onError);
    return promise;
  }

  #newWaiting(): Waiting {
    const waiting: Waiting = {
      call: undefined,
      working: undefined,
      onValue: (value) => this.#settled(waiting, true, value),
      onError: (error) => this.#settled(waiting, false, error),
    };
    return waiting;
  }

  /** What is inside has settled. */
  #settled(waiting: Waiting, ok: boolean, result: unknown): void {
    const call = waiting.call as LimitedCall;
    const { working } = waiting;
    waiting.call = undefined;
    if (this.#idle.length < MAX_IDLE) this.#idle.push(waiting);
    let works: boolean;
    if (working !== undefined) {
      waiting.working = undefined;
      works = CallContext.ended(working, ok, result);
    } else works = isWorking(call.ctx);
    if (call.state !== PENDING) {
      if (call.state === STOPPING) call.state = SETTLED;
      return;
    }
    call.state = ENDED;
    const { ctx, next } = call;
    this.#clear(call);
    if (call.giveUp !== undefined) this.#unlink(call, ok, result);
    let elapsedMs: number | undefined;
    try {
      elapsedMs = ctx.clock.now() - ctx.startedAt;
      (this.#limit as Limit).answered(ok, result, elapsedMs, ctx);
    } catch (error) {
      ok = false;
      result = error;
    }
    const flat = this.#flat;
    if (ok && flat !== undefined && !works) {
      const spentMs = (elapsedMs as number) < 0 ? 0 : (elapsedMs as number);
      let i = flat.length - 1;
      try {
        for (; i >= 0; i--) (flat[i] as Gate).release('success', spentMs, ctx);
      } catch (error) {
        this.#end(call, () => this.#failAround(i, error, ctx, next, spentMs));
        return;
      }
      (call.resolve as (value: unknown) => void)(result);
      return;
    }
    this.#end(call, () => this.#leave(this.#layers.length, ok, result, ctx, next, elapsedMs));
  }

  #clear(call: LimitedCall): void {
    const { clock } = call.ctx;
    if (clock === systemClock) hostTimers.clear(call);
    else clock.clearTimer(call.handle);
  }

  /** What is read of the answer still aborts with the caller: a body for as long as it is open, else a signal weakly. */
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
    body.listeners.push(() => {
      outer.remove(abort);
      followAbort(outer, call, result);
    });
  }

  due(call: LimitedCall): void {
    if (call.state !== PENDING) return;
    this.stop(call, (this.#limit as Limit).timedOut(call.ctx.clock.now(), call.timeoutMs));
  }

  /**
   * Ends a call whose function has not. What is inside has some microtasks to honour the abort, so that it is settled before
   * what is around this step hears of the end; none of those outside is called from within a timer.
   */
  stop(call: LimitedCall, reason: unknown): void {
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
        this.#end(call, () => this.#leave(this.#layers.length, false, reason, ctx, next, undefined));
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

  #wait(promise: Promise<unknown>, count: number, ctx: Context, next: AnyNext): Promise<unknown> {
    return whenSettled(
      promise,
      (value) => this.#leave(count, true, value, ctx, next, undefined),
      (error) => this.#leave(count, false, error, ctx, next, undefined),
    );
  }

  /**
   * Tells the first `count` layers how the call ended, innermost first, as the same policies would one around the other:
   * what one makes of it is the outcome that those around it see. Returns, promises or throws the outcome.
   */
  #leave(
    count: number,
    ok: boolean,
    result: unknown,
    ctx: Context,
    next: AnyNext,
    elapsedMs: number | undefined,
  ): unknown {
    for (let i = count - 1; i >= 0; i--) {
      const layer = this.#layers[i] as Layer;
      if (ok && layer.succeed === undefined) continue;
      try {
        const again = this.#again(i, next);
        const after = ok ? layer.succeed?.(result, ctx, again, elapsedMs) : layer.fail(result, ctx, again, elapsedMs);
        if (after !== result) return i === 0 ? after : this.#wait(Promise.resolve(after), i, ctx, next);
        ok = true;
      } catch (error) {
        ok = false;
        result = error;
      }
    }
    if (!ok) throw result;
    return result;
  }

  /** The gate at `place` of all gates threw as it released its permit: for what is around it the call has failed. */
  #failAround(place: number, error: unknown, ctx: Context, next: AnyNext, elapsedMs: number): unknown {
    let left = place;
    for (const [i, layer] of this.#layers.entries()) {
      if (!(layer instanceof GateStep)) continue;
      const { length } = layer.gates;
      if (left < length) {
        try {
          layer.failAround(left, error, ctx, elapsedMs);
        } catch (last) {
          return this.#leave(i, false, last, ctx, next, elapsedMs);
        }
      }
      left -= length;
    }
    throw error;
  }

  /** Runs what is inside layer `i`. */
  #again(i: number, next: AnyNext): AnyNext {
    const inner = this.#inner[i];
    return inner === undefined ? next : bound(inner, next);
  }
}

/** Apart, since a closure in `#again` would cost each call, also those without an inner step. */
const bound =
  (step: Step, next: AnyNext): AnyNext =>
  (ctx) =>
    step.run(ctx, next);
