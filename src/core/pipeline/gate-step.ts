import { abandonOnAbort, abortableOf, type Context, noteRefusal } from '../call/context.js';
import { callNext, rejectSoon } from '../call/promises.js';
import { isRejected, isTimeout, RejectedError, type Rejection } from '../errors.js';
import type { Classify, Gate, Next, Verdict } from '../policy.js';
import type { Layer } from './step.js';

/** The verdict on a call that threw `error`, where the gate has no `classify`. */
function defaultVerdict(error: unknown, ctx: Context): Verdict {
  if (isRejected(error)) return 'ignored';
  if (isTimeout(error)) return 'dropped';
  const abortable = abortableOf(ctx);
  return abortable?.aborted && Object.is(abortable.reason, error) ? 'ignored' : 'failure';
}

/**
 * The verdict where a policy has no `classify` of its own: a refusal and the caller's abort are `ignored`, a time-out is
 * `dropped`, another throw is a `failure`, a value a `success`. For a `classify` that only adds to it.
 */
export const defaultClassify: Classify = (outcome, ctx) =>
  outcome.ok ? 'success' : defaultVerdict(outcome.error, ctx);

/** What `classify`, or the default, makes of an outcome. */
export function judge(classify: Classify | undefined, ok: boolean, result: unknown, ctx: Context): Verdict {
  if (classify === undefined) return ok ? 'success' : defaultVerdict(result, ctx);
  const verdict = classify(ok ? { ok, value: result } : { ok, error: result }, ctx);
  if (verdict === 'success' || verdict === 'failure' || verdict === 'dropped' || verdict === 'ignored') return verdict;
  throw new TypeError(`classify must return 'success', 'failure', 'dropped' or 'ignored', got ${String(verdict)}`);
}

/**
 * What waits for a call's promise, which settles once: then it waits for another call's. Two closures a call instead cost
 * 20 ns and 250 bytes more.
 */
interface Waiting {
  ctx: Context | undefined;
  readonly onValue: (value: unknown) => unknown;
  readonly onError: (error: unknown) => unknown;
}

const { then } = Promise.prototype;

/** How many of them a step keeps for the next calls. */
const MAX_IDLE = 1_024;

/** Adjacent gates as one step of a pipeline: the one place in the library that acquires, tries and releases. */
export class GateStep implements Layer {
  /** Whatever context they need: the pipeline's types have seen to it that they get it. */
  readonly #gates: readonly Gate[];
  readonly #labels: readonly string[];
  readonly #idle: Waiting[] = [];

  /** `labels` are what the gates are called in refusals. */
  constructor(gates: readonly Gate<never>[], labels: readonly string[]) {
    this.#gates = gates as readonly unknown[] as readonly Gate[];
    this.#labels = labels;
  }

  /** Takes a permit of every gate, or of none and says who refused. */
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

  /** Settles as `promise` does, which must be a native one, and gives back then what `admit` took. */
  hold<R>(ctx: Context, promise: Promise<R>): Promise<R> {
    const waiting = this.#idle.pop() ?? this.#newWaiting();
    waiting.ctx = ctx;
    // Not `promise.then`: a promise with a `then` of its own could call back twice.
    return then.call(promise, waiting.onValue, waiting.onError) as Promise<R>;
  }

  proceed<C extends Context, R>(ctx: C, next: Next<C, R>): Promise<R> {
    return this.hold(ctx, next(ctx));
  }

  #newWaiting(): Waiting {
    const waiting: Waiting = {
      ctx: undefined,
      onValue: (value) => this.succeed(value, this.#done(waiting), undefined, undefined),
      onError: (error) => this.fail(error, this.#done(waiting), undefined, undefined),
    };
    return waiting;
  }

  #done(waiting: Waiting): Context {
    const ctx = waiting.ctx as Context;
    waiting.ctx = undefined;
    if (this.#idle.length < MAX_IDLE) this.#idle.push(waiting);
    return ctx;
  }

  run<C extends Context, R>(ctx: C, next: Next<C, R>): Promise<R> {
    try {
      abandonOnAbort(ctx);
      const rejection = this.admit(ctx);
      return rejection === undefined ? this.hold(ctx, callNext(ctx, next)) : rejectSoon(refusedBy(rejection, ctx));
    } catch (error) {
      return rejectSoon(error);
    }
  }

  #refusal(place: number, ctx: Context): Rejection {
    const gate = this.#gates[place] as Gate;
    let seen: Rejection;
    try {
      const policy = this.#labels[place] as string;
      seen = { policy, reason: gate.reason, retryAfterMs: gate.retryAfterMs(ctx) };
      // An error object only where somebody looks at it: a stack was asked for, or a gate further out judges it.
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

  /** `#release` for the usual case, in which nobody judges, and the time is known or nobody asks: 12 ns less a call. */
  succeed<R>(value: R, ctx: Context, _next: unknown, elapsedMs: number | undefined): R {
    const gates = this.#gates;
    // Not `Math.max` for all: its number cost a breaker alone 10 % of its call.
    const spentMs = elapsedMs === undefined ? 0 : Math.max(0, elapsedMs);
    let i = gates.length - 1;
    // Where it stops short, `#release` does the rest: to stop sooner costs only speed.
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
    return i < 0 ? value : (this.#release(i + 1, ctx, true, value, elapsedMs) as R);
  }

  fail(error: unknown, ctx: Context, _next: unknown, elapsedMs: number | undefined): unknown {
    return this.#release(this.#gates.length, ctx, false, error, elapsedMs);
  }

  /**
   * Releases the first `count` permits, innermost first, as the same gates would one around the other: what a gate
   * throws here is the outcome that those around it see. Returns or throws the outcome; `ok` undefined = `result` is the
   * refusal of the gate behind them, an error only if one of them wants to see it.
   */
  #release(
    count: number,
    ctx: Context,
    ok: boolean | undefined,
    result: unknown,
    elapsedMs: number | undefined,
  ): unknown {
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
        gate.release(verdict, spentMs, ctx);
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

/** The error of a refusal, which is an error already where somebody had to see it earlier. */
export const toError = (rejection: Rejection): RejectedError =>
  rejection instanceof RejectedError ? rejection : new RejectedError(rejection);

/** `toError`, noted as a refusal of the call's own pipeline. */
export function refusedBy(rejection: Rejection, ctx: Context): RejectedError {
  const error = toError(rejection);
  noteRefusal(ctx, error);
  return error;
}

/** Runs one gate around `next`: what a gate of your own calls in its `run`. */
export function runGate<C extends Context, R>(gate: Gate<C>, ctx: C, next: Next<C, R>): Promise<R> {
  return new GateStep([gate], [gate.name]).run(ctx, next);
}
