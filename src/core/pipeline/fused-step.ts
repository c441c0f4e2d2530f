import { abortableOf, CallContext, type Context } from '../call/context.js';
import { callFunction, checkStart, untilFunctionEnds } from '../call/function.js';
import { callNext, rejectSoon, untilAbort, whenSettled } from '../call/promises.js';
import type { Rejection } from '../errors.js';
import type { Gate, Next, Policy } from '../policy.js';
import { GateStep, refusedBy } from './gate-step.js';
import { isGate, stepOf } from './link.js';
import { type Around, Fusible, type Inside, type Layer, type Limited, type Step } from './step.js';

type AnyNext = Next<Context, unknown>;

/** What waits for the function, as in gate-step.ts: it settles once, then it waits for another call's. */
interface Waiting {
  ctx: CallContext | undefined;
  readonly onValue: (value: unknown) => unknown;
  readonly onError: (error: unknown) => unknown;
}

const MAX_IDLE = 1_024;

/** Gates, outcome hooks and a time limit on one promise. */
export class FusedStep implements Step, Around {
  /** Outermost first. */
  readonly #layers: readonly Layer[];
  /** What of this step is inside each hook. */
  readonly #inner: readonly (Step | undefined)[];
  readonly #head: GateStep | undefined;
  readonly #limited: Limited | undefined;
  readonly gates: readonly Gate[] | undefined;
  readonly #inside: Inside;
  readonly #idle: Waiting[] = [];

  /** `labels` are what the gates are called in refusals. */
  constructor(policies: readonly Policy<never>[], labels: readonly string[], inside: Inside) {
    const layers: Layer[] = [];
    const again: (Step | undefined)[] = [];
    let limit: Fusible | undefined;
    for (let i = 0, from = 0; from < policies.length; from = i) {
      const policy = policies[i++] as Policy<never>;
      if (policy instanceof Fusible) {
        if (policy.innermost) {
          limit = policy;
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
    this.#inside = inside;
    const gates = layers.flatMap((layer) => (layer instanceof GateStep ? layer.gates : []));
    const plain =
      layers.every((layer) => layer instanceof GateStep || layer.succeed === undefined) &&
      gates.every((gate) => gate.classify === undefined);
    if (plain) this.gates = gates;
    this.#limited = limit?.limit?.(this, inside);
  }

  admit(ctx: Context): Rejection | undefined {
    return this.#head?.admit(ctx);
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
      if (this.#limited !== undefined) return this.#limited.start(ctx, next);
    } catch (error) {
      return this.#wait(rejectSoon(error), i, ctx, next);
    }
    if (next === callFunction) return this.#waitForFunction(ctx, next);
    const abortable = this.#inside.ends ? undefined : abortableOf(ctx);
    const promise = callNext(ctx, next);
    const ends = abortable === undefined ? promise : untilAbort(promise, abortable, this.#inside.microtasks, true);
    return this.#wait(ends, i, ctx, next);
  }

  #waitForFunction(own: Context, next: AnyNext): Promise<unknown> {
    const ctx = own as CallContext;
    const { length } = this.#layers;
    const promise = CallContext.start(ctx, ctx);
    const abortable = CallContext.abortableOf(ctx);
    if (abortable !== undefined) return this.#wait(untilFunctionEnds(promise, ctx, abortable), length, ctx, next);
    const waiting = this.#idle.pop() ?? this.#newWaiting();
    waiting.ctx = ctx;
    return whenSettled(promise, waiting.onValue, waiting.onError);
  }

  #newWaiting(): Waiting {
    const waiting: Waiting = {
      ctx: undefined,
      onValue: (value) => this.#ended(waiting, true, value),
      onError: (error) => this.#ended(waiting, false, error),
    };
    return waiting;
  }

  /** The function has settled. */
  #ended(waiting: Waiting, ok: boolean, result: unknown): unknown {
    const ctx = waiting.ctx as CallContext;
    waiting.ctx = undefined;
    if (this.#idle.length < MAX_IDLE) this.#idle.push(waiting);
    const works = CallContext.ended(ctx, ok, result);
    // Of a success nothing is to be told: there is neither a gate nor a hook that looks at values.
    if (ok && !works && this.gates?.length === 0) return result;
    return this.#leave(this.#layers.length, ok, result, ctx, callFunction, undefined);
  }

  leave(
    ok: boolean,
    result: unknown,
    ctx: Context,
    next: Next<Context, unknown>,
    elapsedMs: number | undefined,
  ): unknown {
    return this.#leave(this.#layers.length, ok, result, ctx, next, elapsedMs);
  }

  #wait(promise: Promise<unknown>, count: number, ctx: Context, next: AnyNext): Promise<unknown> {
    return whenSettled(
      promise,
      (value) => this.#leave(count, true, value, ctx, next, undefined),
      (error) => this.#leave(count, false, error, ctx, next, undefined),
    );
  }

  /**
   * Tells the first `count` layers how the call ended, innermost first, as the same policies would one around the
   * other: what one makes of it is the outcome that those around it see. Returns, promises or throws the outcome.
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

  failAround(place: number, error: unknown, ctx: Context, next: AnyNext, elapsedMs: number): unknown {
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
