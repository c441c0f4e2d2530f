import type { RejectedError } from '../errors.js';
import { checkNumber, invalid } from '../options/validate.js';
import type { Verdict } from '../outcome.js';
import { type Clock, sameClock } from '../time/clock.js';
import { type Abortable, type AbortScope, SignalScope } from './abort.js';
import { rejectSoon } from './promises.js';

/** `T`, which is not to be inferred from here: `NoInfer` is there from TypeScript 5.4 on only. */
export type NotInferred<T> = [T][T extends unknown ? 0 : never];

/** How important a call is: 1 = most critical, 4 = first to be shed. Unknown values count as 4. */
export type Tier = 1 | 2 | 3 | 4;

/** What is known of one call. Never mutated: {@link derive} makes changed ones. */
export interface Context {
  /** Aborts when the caller gives up or a timeout around the call fires. Made on first access. */
  readonly signal: AbortSignal;
  /** Which try this is; 0 = the first. */
  readonly attempt: number;
  /** Tenant, user, host …: what keyed policies key on. */
  readonly key: string | undefined;
  /** @default 3 */
  readonly tier: Tier;
  /** Permits wanted, ≥ 0. @default 1 */
  readonly cost: number;
  readonly clock: Clock;
  /** Clock ms when this attempt began: the `now` of every gate that it meets. */
  readonly startedAt: number;
  /** Clock ms when the request reached this process. @default the first `startedAt` */
  readonly receivedAt: number;
  /** Clock ms by which the caller wants the answer. @default Infinity */
  readonly deadline: number;
}

/** Never there at run time. */
declare const PROVIDED: unique symbol;

/** Part of the context of a policy that sets the fields `F` itself: a caller is not asked for them. */
export type Provides<F extends string> = { readonly [PROVIDED]?: { readonly [field in F]: true } };

type ProvidedBy<C> = C extends { readonly [PROVIDED]?: infer Fields } ? keyof NonNullable<Fields> : never;

/**
 * What a caller may say of a call; the own fields of a custom context have to be given. An {@link AbortScope} in the
 * place of the signal saves making one.
 */
export type Init<C extends Context> = Omit<C, keyof Context | typeof PROVIDED | ProvidedBy<C>> & {
  [F in keyof Context]?: Context[F] | (F extends 'signal' ? AbortScope : never) | undefined;
};

/** The function that a call is about. */
export type UserFunction = (ctx: never) => unknown;

/** Told when the last function or body under a context has ended, and how that one did. */
export interface WorkListener {
  workEnded(ok: boolean, result: unknown): void;
}

/** An answer that goes on after the function has returned it: see `waitUntil`. */
export interface Body {
  /** How many promises it still waits for. */
  pending: number;
  /** Calls `release` when it has ended, or its caller has given up, with what that says of the call under `ctx`. */
  release(ctx: Context, release: (verdict: Verdict, elapsedMs: number) => void): void;
  /** Calls `listener` when it has ended. */
  add(listener: () => void): void;
}

/** What few contexts have. */
export interface Extra {
  /** Whether it has fields other than the defaults. */
  changed?: boolean;
  receivedAt?: number | undefined;
  /** In a call's first context: the refusals that policies inside the pipeline have seen. */
  refusals?: RejectedError[];
  /** In the first context of a call made inside another call: that call's context. */
  outer?: CallContext;
  /** The body that was named last under the context. */
  body?: Body;
  workListeners?: WorkListener[] | undefined;
}

/** `#work`: whether a function was called, and, in units of RUNNING, how many functions and bodies have not ended. */
const SENT = 1;
const RUNNING = 2;

/** By a symbol and not by `instanceof`: an application may hold two copies of the library (ESM and CommonJS). */
const CLASS = Symbol.for('evenkeel.context');

/** The class of a context of whichever copy of the library, which alone can read its private fields. */
export const classOf = (ctx: unknown): typeof CallContext | undefined =>
  (ctx as { [CLASS]?: typeof CallContext })[CLASS];

/**
 * The defaults are on the prototype, where they cost a call nothing: as fields they take 80 bytes, and 15 ns with the
 * collection of them. What few contexts have is in one object made on demand. The methods are static: private ones of
 * an instance would put a brand on each context, and other copies of the library use the public ones.
 */
export class CallContext implements Context {
  declare attempt: number;
  declare key: string | undefined;
  declare tier: Tier;
  declare cost: number;
  declare deadline: number;
  readonly clock: Clock;
  startedAt: number;
  /** In a call's first context the function, else the context that it was derived from. */
  readonly #from: UserFunction | CallContext;
  #abortable: Abortable | undefined;
  #extra: Extra | undefined;
  #work: number;

  constructor(clock: Clock, startedAt: number, from: UserFunction | CallContext, abortable: Abortable | undefined) {
    this.clock = clock;
    this.startedAt = startedAt;
    this.#from = from;
    this.#abortable = abortable;
    this.#extra = undefined;
    this.#work = 0;
  }

  /**
   * The first context of a call. Given another call's context, it takes over what aborts that, without a signal made.
   */
  static begin(clock: Clock, fn: UserFunction, init: Partial<Context> | undefined): CallContext {
    const ctx = new CallContext(clock, clock.now(), fn, undefined);
    if (init !== undefined) CallContext.#init(ctx, init);
    return ctx;
  }

  static #init(ctx: CallContext, init: Partial<Context>): void {
    const { clock, startedAt } = ctx;
    if (typeof init !== 'object' || init === null) invalid('context', 'init', 'an object', init, true);
    const its = classOf(init);
    if (its !== undefined) {
      ctx.#abortable = its.abortableOf(init as CallContext);
      if (#from in init) CallContext.extraOf(ctx).outer = init as CallContext;
      // That call began earlier, and by another clock its times mean nothing here.
      const { receivedAt, deadline } = init as Context;
      const times = sameClock((init as Context).clock, clock) ? { receivedAt, deadline } : { deadline: Infinity };
      CallContext.#change(ctx, { ...init, ...times, clock, startedAt });
    } else {
      // A spread copy has lost what aborts its call.
      if ('clock' in init && 'startedAt' in init) ownerOf(init as Context);
      CallContext.#change(ctx, init);
    }
    if (ctx.clock !== clock) throw new TypeError("context: clock must be the pipeline's own, got another one");
    if (ctx.#abortable?.aborted) throw ctx.#abortable.reason;
  }

  /** A context like `ctx`, except for `changes` and what aborts it. */
  static derive(ctx: CallContext, changes: object | undefined, abortable: Abortable | undefined): CallContext {
    const made = new CallContext(ctx.clock, ctx.startedAt, ctx, abortable ?? ctx.#abortable);
    const extra = ctx.#extra;
    if (extra?.changed) {
      Object.assign(made, ctx);
      made.#extra = { changed: true, receivedAt: extra.receivedAt };
    }
    if (changes !== undefined) CallContext.#change(made, changes);
    return made;
  }

  /** `derive(ctx, undefined, abortable)`, short enough to be taken into a time limit's code. */
  static limited(ctx: CallContext, abortable: Abortable): CallContext {
    return ctx.#extra === undefined
      ? new CallContext(ctx.clock, ctx.startedAt, ctx, abortable)
      : CallContext.derive(ctx, undefined, abortable);
  }

  get signal(): AbortSignal {
    // Nothing can abort the call: a signal that never does, the same for all of the call's contexts.
    if (this.#abortable === undefined) {
      CallContext.root(this).#abortable ??= SignalScope.of(new AbortController().signal);
    }
    return (this.#abortable ?? (CallContext.root(this).#abortable as Abortable)).signal;
  }

  get receivedAt(): number {
    return this.#extra?.receivedAt ?? CallContext.root(this).startedAt;
  }

  /** The first context of the call. */
  static root(ctx: CallContext): CallContext {
    let root = ctx;
    while (typeof root.#from !== 'function') root = root.#from;
    return root;
  }

  /** Made on demand. */
  /** What there is of it so far: looking makes none, which a function that hangs would keep. */
  static knownExtraOf(ctx: CallContext): Extra | undefined {
    return ctx.#extra;
  }

  static extraOf(ctx: CallContext): Extra {
    ctx.#extra ??= {};
    return ctx.#extra;
  }

  /** The context around `ctx`: what it was derived from, or that of the call in which its call was made. */
  static #around(ctx: CallContext): CallContext | undefined {
    return typeof ctx.#from === 'function' ? ctx.#extra?.outer : ctx.#from;
  }

  static #change(ctx: CallContext, changes: Partial<Context>): void {
    const extra = CallContext.extraOf(ctx);
    extra.changed = true;
    for (const field of Object.keys(changes)) {
      const value: unknown = changes[field as keyof Context];
      // Not given, except for a key, which may be taken away.
      if ((value === undefined && field !== 'key') || field === '__proto__') continue;
      if (field === 'signal') ctx.#abortable = readAbortable(value);
      else if (field === 'receivedAt') extra.receivedAt = checkNumber('context', field, value, {});
      else (ctx as unknown as Record<string, unknown>)[field] = value;
    }
    const { tier, key } = ctx;
    if (tier !== 3 && tier !== 1 && tier !== 2) ctx.tier = 4;
    if (key !== undefined && typeof key !== 'string') invalid('context', 'key', 'a string', key, true);
    checkNumber('context', 'cost', ctx.cost, { min: 0 });
    checkNumber('context', 'attempt', ctx.attempt, { min: 0, integer: true });
    checkNumber('context', 'startedAt', ctx.startedAt, {});
    checkNumber('context', 'deadline', ctx.deadline, { infinite: true });
  }

  static abortableOf(ctx: CallContext): Abortable | undefined {
    return ctx.#abortable;
  }

  /**
   * Calls the user's function with `ctx`, as work of `under` and of all contexts around it. {@link ended} has to be
   * called when the promise has settled.
   */
  static start<R>(ctx: CallContext, under: CallContext): Promise<R> {
    const abortable = ctx.#abortable;
    const aborted = abortable?.aborted === true;
    let fn = under.#from;
    // Nearly always: the first context of a call that is not made in another one.
    if (!aborted && typeof fn === 'function' && under.#extra === undefined) {
      under.#work = (under.#work + RUNNING) | SENT;
    } else {
      CallContext.begun(under, undefined, aborted ? 0 : SENT);
      // Nothing is sent, and it ends all the same.
      if (aborted) return rejectSoon(abortable.reason);
      fn = CallContext.root(under).#from;
    }
    try {
      return Promise.resolve((fn as UserFunction)(ctx as never)) as Promise<R>;
    } catch (error) {
      return rejectSoon(error);
    }
  }

  /** Work begins under `ctx` and all contexts around it: a function, or a body. */
  static begun(ctx: CallContext, body: Body | undefined, sent = SENT): void {
    for (let one: CallContext | undefined = ctx; one !== undefined; one = CallContext.#around(one)) {
      one.#work = (one.#work + RUNNING) | sent;
      if (body !== undefined) CallContext.extraOf(one).body = body;
    }
  }

  /** Work under `ctx` has ended. Returns whether other work goes on. */
  static ended(ctx: CallContext, ok: boolean, result: unknown): boolean {
    if (typeof ctx.#from === 'function' && ctx.#extra === undefined) ctx.#work -= RUNNING;
    else CallContext.#ended(ctx, ok, result);
    return ctx.#work >= RUNNING;
  }

  static #ended(ctx: CallContext, ok: boolean, result: unknown): void {
    for (let one: CallContext | undefined = ctx; one !== undefined; one = CallContext.#around(one)) {
      one.#work -= RUNNING;
      const extra = one.#extra;
      const listeners = extra?.workListeners;
      if (listeners === undefined || one.#work >= RUNNING) continue;
      (extra as Extra).workListeners = undefined;
      for (const listener of listeners) listener.workEnded(ok, result);
    }
  }

  /** The state of the work under it: see {@link wasSent} and {@link isWorking}. */
  static stateOf(ctx: CallContext): number {
    return ctx.#work;
  }

  static {
    const defaults = { attempt: 0, key: undefined, tier: 3, cost: 1, deadline: Infinity } as const;
    Object.assign(CallContext.prototype, defaults, { [CLASS]: CallContext });
  }
}

function readAbortable(value: unknown): Abortable {
  // Not by `instanceof`: some clients bring their own signals, and a scope may come from another copy of the library.
  const { addEventListener, removeEventListener } = (value ?? {}) as Partial<AbortSignal>;
  if (typeof addEventListener === 'function' && typeof removeEventListener === 'function') {
    return SignalScope.of(value as AbortSignal);
  }
  const { add, remove, aborted } = (value ?? {}) as Partial<AbortScope>;
  if (typeof add === 'function' && typeof remove === 'function' && typeof aborted === 'boolean') {
    return value as AbortScope;
  }
  return invalid('context', 'signal', 'an AbortSignal or an AbortScope', value, true);
}

function ownerOf(ctx: Context): typeof CallContext {
  const its = classOf(ctx);
  if (its !== undefined) return its;
  throw new TypeError('derive: ctx must be a context that a pipeline has passed on; a spread copy is none');
}

/**
 * A context like `ctx`, except for `changes`; `ctx` stays as it was, and a signal that no code has asked for is not
 * made. The one way to change a context.
 *
 * A policy that has waited passes on `derive(ctx, { startedAt: ctx.clock.now() })`.
 *
 * @throws TypeError when `ctx` is not a context that a pipeline has passed on (a spread copy is not).
 */
export function derive<C extends Context>(ctx: C, changes: NotInferred<Partial<C>>): C;
/** For a policy that is generic in its context. */
export function derive<C extends Context>(ctx: C, changes: Partial<Context>): C;
export function derive<C extends Context>(ctx: C, changes: Partial<C>): C {
  return ownerOf(ctx).derive(ctx as Context as CallContext, changes, undefined) as Context as C;
}

/** `derive(ctx, { startedAt })` for a time that needs no check. */
export function derivedAt<C extends Context>(ctx: C, startedAt: number): C {
  const made = ownerOf(ctx).derive(ctx as Context as CallContext, undefined, undefined);
  made.startedAt = startedAt;
  return made as Context as C;
}

/** A context like `ctx` that aborts by `scope`, which is left to its maker to link to what aborted `ctx`. */
export function deriveAbortable<C extends Context>(ctx: C, scope: Abortable): C {
  return ownerOf(ctx).derive(ctx as Context as CallContext, undefined, scope) as Context as C;
}

const refusalsOf = (ctx: Context): RejectedError[] => {
  const its = classOf(ctx);
  if (its === undefined) return [];
  const extra = its.extraOf(its.root(ctx as CallContext));
  extra.refusals ??= [];
  return extra.refusals;
};

/** Notes that a gate of the call's own pipeline refused it with `error`. */
export const noteRefusal = (ctx: Context, error: RejectedError): void => void refusalsOf(ctx).push(error);

/** Whether `error` is such a refusal, not one that the user's function threw. */
export const wasRefused = (ctx: Context, error: unknown): error is RejectedError =>
  refusalsOf(ctx).includes(error as RejectedError);

const stateOf = (ctx: object): number => classOf(ctx)?.stateOf(ctx as CallContext) ?? 0;

/** Whether a function was called under `ctx` or a context derived from it; false for any other object. */
export const wasSent = (ctx: object | undefined): boolean => ctx !== undefined && (stateOf(ctx) & SENT) !== 0;

/** Whether a function called under `ctx`, or the body of its answer, has not ended, besides so many of them. */
export const isWorking = (ctx: Context, besides = 0): boolean => stateOf(ctx) >= RUNNING * (besides + 1);

/** The body that was named last under `ctx`, while it is open. */
export function openBodyOf(ctx: Context): Body | undefined {
  const body = classOf(ctx)?.knownExtraOf(ctx as CallContext)?.body;
  return body !== undefined && body.pending > 0 ? body : undefined;
}

/** Has `listener` told when all work under `ctx` has ended; only while some goes on. */
export function onWorkEnd(ctx: Context, listener: WorkListener): void {
  const extra = classOf(ctx)?.extraOf(ctx as CallContext);
  if (extra === undefined) return;
  // Not `push` to an empty array, which makes room for 17.
  if (extra.workListeners === undefined) extra.workListeners = [listener];
  else extra.workListeners.push(listener);
}

/** How many calls are around the one of `ctx`. */
export function depthOf(ctx: CallContext): number {
  const outer = CallContext.knownExtraOf(CallContext.root(ctx))?.outer;
  return outer === undefined ? 0 : 1 + depthOf(outer);
}

/** What can abort `ctx`; undefined = nothing can. Does not make a signal. */
export function abortableOf(ctx: Context): Abortable | undefined {
  const its = classOf(ctx);
  if (its !== undefined) return its.abortableOf(ctx as CallContext);
  // A context that this library did not make, as in a test that calls `run` by hand.
  return (ctx as Partial<Context>).signal && SignalScope.of(ctx.signal);
}
