import { abortableOf, CallContext, type Context, isWorking, type NotInferred, noteRefusal } from '../call/context.js';
import { callFunction, checkStart, untilFunctionEnds } from '../call/function.js';
import { callNext, rejectSoon, untilAbort } from '../call/promises.js';
import { RejectedError, type Rejection } from '../errors.js';
import type { Gate, Next, Verdict } from '../policy.js';
import { defaultVerdict, judge } from '../verdict.js';
import { releaseInTime } from './release.js';
import type { Inside, Layer } from './step.js';

/**
 * What waits for a call's promise, which settles once: then it waits for another call's. Two closures per call instead
 * cost 20 ns and 250 bytes more.
 */
interface Waiting {
  ctx: Context | undefined;
  /** Whether the promise is that of the user's function itself. */
  isFunction: boolean;
  readonly onValue: (value: unknown) => unknown;
  readonly onError: (error: unknown) => unknown;
}

const { then } = Promise.prototype;

/** How many of them a step keeps for the next calls. */
const MAX_IDLE = 1_024;

/** Inside a policy that runs by itself: whatever there is, with time enough for some policies around the function. */
export const ANYTHING: Inside = { ends: false, microtasks: 96 };

/** Adjacent gates as one step of a pipeline. The success of a call with a time limit is released by `LimitedCalls`. */
export class GateStep implements Layer {
  /** Whatever context they need: the pipeline's types have seen to it that they get it. */
  readonly #gates: readonly Gate[];
  readonly #labels: readonly string[];
  readonly #inside: Inside;
  readonly #idle: Waiting[] = [];

  /** @param labels what the gates are called in refusals */
  constructor(gates: readonly Gate<never>[], labels: readonly string[], inside = ANYTHING) {
    this.#gates = gates as readonly unknown[] as readonly Gate[];
    this.#labels = labels;
    this.#inside = inside;
  }

  get gates(): readonly Gate[] {
    return this.#gates;
  }

  /** Takes a permit of every gate, or of none and says which refused. */
  admit(ctx: Context): Rejection | undefined {
    const gates = this.#gates;
    for (let i = 0; i < gates.length; i++) {
      let taken: boolean;
      try {
        taken = (gates[i] as Gate).tryAcquire(ctx);
      } catch (error) {
        return this.#undo(i, ctx, error);
      }
      if (!taken) return this.#refusal(i, ctx);
    }
    return undefined;
  }

  run<C extends Context, R>(ctx: C, next: Next<C, R>): Promise<R> {
    try {
      checkStart(ctx, next);
      const rejection = this.admit(ctx);
      return rejection === undefined ? this.proceed(ctx, next) : rejectSoon(refusedBy(rejection, ctx));
    } catch (error) {
      return rejectSoon(error);
    }
  }

  /** After `admit`: runs what is inside, and releases the permits when that has ended. */
  proceed<C extends Context, R>(ctx: C, next: Next<C, R>): Promise<R> {
    let promise: Promise<R>;
    let isFunction = (next as unknown) === callFunction;
    if (isFunction) {
      const own = ctx as Context as CallContext;
      promise = CallContext.start<R>(own, own);
      const abortable = CallContext.abortableOf(own);
      if (abortable !== undefined) {
        isFunction = false;
        promise = untilFunctionEnds(promise, own, abortable);
      }
    } else {
      promise = callNext(ctx, next);
      const abortable = this.#inside.ends ? undefined : abortableOf(ctx);
      if (abortable !== undefined) promise = untilAbort(promise, abortable, this.#inside.microtasks, true);
    }
    const waiting = this.#idle.pop() ?? this.#newWaiting();
    waiting.ctx = ctx;
    waiting.isFunction = isFunction;
    // Not `promise.then`: a promise with a `then` of its own could call back twice.
    return then.call(promise, waiting.onValue, waiting.onError) as Promise<R>;
  }

  #newWaiting(): Waiting {
    const waiting: Waiting = {
      ctx: undefined,
      isFunction: false,
      onValue: (value) => {
        const ctx = this.#done(waiting);
        const working = waiting.isFunction ? CallContext.ended(ctx as CallContext, true, value) : isWorking(ctx);
        return this.#succeed(value, ctx, undefined, working);
      },
      onError: (error) => {
        const ctx = this.#done(waiting);
        if (waiting.isFunction) CallContext.ended(ctx as CallContext, false, error);
        return this.fail(error, ctx, undefined, undefined);
      },
    };
    return waiting;
  }

  #done(waiting: Waiting): Context {
    const ctx = waiting.ctx as Context;
    waiting.ctx = undefined;
    if (this.#idle.length < MAX_IDLE) this.#idle.push(waiting);
    return ctx;
  }

  #refusal(place: number, ctx: Context): Rejection {
    const gate = this.#gates[place] as Gate;
    let seen: Rejection;
    try {
      // A gate may have aborted the call: its caller does not wait for this refusal.
      const abortable = abortableOf(ctx);
      if (abortable?.aborted) throw abortable.reason;
      const policy = this.#labels[place] as string;
      seen = { policy, reason: gate.reason, retryAfterMs: gate.retryAfterMs(ctx) };
      // An error object only where code looks at it: a stack was asked for, or an outer gate judges it.
      if (gate.captureStack) seen = new RejectedError(seen, true);
      for (let i = 0; i < place; i++) if ((this.#gates[i] as Gate).classify) seen = toError(seen);
    } catch (error) {
      return this.#undo(place, ctx, error);
    }
    return this.#release(place, ctx, undefined, seen, undefined) as Rejection;
  }

  #undo(taken: number, ctx: Context, error: unknown): never {
    this.#release(taken, ctx, false, error, undefined);
    throw error;
  }

  /**
   * `#release` for the usual case: no gate judges, all work has ended, and the time is known or no gate asks for it.
   */
  #succeed<R>(value: R, ctx: Context, elapsedMs: number | undefined, working: boolean): R {
    const gates = this.#gates;
    // Not `Math.max` for all: its number cost a breaker alone 10 % of its call.
    const spentMs = elapsedMs === undefined ? 0 : Math.max(0, elapsedMs);
    let i = gates.length - 1;
    if (!working) {
      try {
        for (; i >= 0; i--) {
          const gate = gates[i] as Gate;
          if (gate.classify !== undefined) break;
          if (elapsedMs === undefined && gate.usesElapsed !== false) break;
          gate.release('success', spentMs, ctx);
        }
      } catch (error) {
        return this.#release(i, ctx, false, error, elapsedMs) as R;
      }
    }
    return i < 0 ? value : (this.#release(i + 1, ctx, true, value, elapsedMs) as R);
  }

  succeed<R>(value: R, ctx: Context, _next: unknown, elapsedMs: number | undefined): R {
    return this.#succeed(value, ctx, elapsedMs, isWorking(ctx));
  }

  fail(error: unknown, ctx: Context, _next: unknown, elapsedMs: number | undefined): unknown {
    return this.#release(this.#gates.length, ctx, false, error, elapsedMs);
  }

  /** For the gates around the one at `place`, which threw as it released its permit: for them the call has failed. */
  failAround(place: number, error: unknown, ctx: Context, elapsedMs: number | undefined): unknown {
    return this.#release(place, ctx, false, error, elapsedMs);
  }

  /**
   * Releases the first `count` permits, innermost first, as the same gates would one around the other: what a gate
   * throws here is the outcome that those around it see. Returns or throws the outcome; `ok` undefined = `result` is
   * the refusal of the gate behind them, an error only if one of them reads it.
   */
  #release(
    count: number,
    ctx: Context,
    ok: boolean | undefined,
    result: unknown,
    elapsedMs: number | undefined,
  ): unknown {
    const working = isWorking(ctx);
    let measured = elapsedMs !== undefined;
    let spentMs = Math.max(0, elapsedMs ?? 0);
    for (let i = count - 1; i >= 0; i--) {
      const gate = this.#gates[i] as Gate;
      let verdict: Verdict = ok === undefined ? 'ignored' : ok ? 'success' : defaultVerdict(result, ctx);
      let problem: { error: unknown } | undefined;
      try {
        if (!measured && gate.usesElapsed !== false) {
          measured = true;
          spentMs = Math.max(0, ctx.clock.now() - ctx.startedAt);
        }
        if (gate.classify !== undefined) verdict = judge(gate.classify, ok === true, result, ctx);
      } catch (error) {
        problem = { error };
      }
      try {
        if (working) releaseInTime(gate, gate.holds, verdict, spentMs, ctx, ok === true);
        else gate.release(verdict, spentMs, ctx);
      } catch (error) {
        problem ??= { error };
      }
      if (problem !== undefined) {
        ok = false;
        result = problem.error;
      }
    }
    if (ok === false) throw result;
    return result;
  }
}

/** The error of a refusal, which is an error already where code had to see it earlier. */
export const toError = (rejection: Rejection): RejectedError =>
  rejection instanceof RejectedError ? rejection : new RejectedError(rejection);

/** `toError`, noted as a refusal of the call's own pipeline. */
export function refusedBy(rejection: Rejection, ctx: Context): RejectedError {
  const error = toError(rejection);
  noteRefusal(ctx, error);
  return error;
}

/**
 * Runs one gate around `next`: what a gate of your own calls in its `run`.
 *
 * @example
 * run: (ctx, next) => runGate(gate, ctx, next)
 */
export function runGate<C extends Context, R>(gate: Gate<NotInferred<C>>, ctx: C, next: Next<C, R>): Promise<R> {
  return new GateStep([gate], [gate.name]).run(ctx, next);
}
