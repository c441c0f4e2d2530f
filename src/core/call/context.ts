import type { RejectedError } from '../errors.js';
import { checkNumber, invalid } from '../options/validate.js';
import { type Clock, sameClock } from '../time/clock.js';
import { type Abortable, type AbortScope, SignalScope } from './abort.js';
import { rejectSoon, whenSettled } from './promises.js';

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
 * What a caller may say of a call; the own fields of a custom context have to be given. An {@link AbortScope} in the place
 * of the signal spares making one.
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
  failed: boolean;
  readonly listeners: (() => void)[];
}

/** What few contexts have. */
interface Extra {
  /** Whether it has fields other than the defaults. */
  changed: boolean;
  receivedAt: number | undefined;
  /** The refusals that policies inside the pipeline have seen. */
  refusals: RejectedError[] | undefined;
  /** In the first context of a call made inside another call: that call's context, and how deep it is. */
  outer: CallContext | undefined;
  depth: number;
  body: Body | undefined;
  workListeners: WorkListener[] | undefined;
}

/** `#work`: whether a function was called, and, in units of RUNNING, how many functions and bodies have not ended. */
const SENT = 1;
const RUNNING = 2;

/** What a context answers to another copy of the library, which cannot read its private fields. */
interface Shared {
  abortableOf(ctx: Context): Abortable | undefined;
  derive(ctx: Context, changes: object | undefined, abortable: Abortable | undefined): Context;
  noteRefusal(ctx: Context, error: RejectedError): void;
  wasSent(ctx: Context): boolean;
  isWorking(ctx: Context, besides: number): boolean;
  openBody(ctx: Context): Body | undefined;
  onWorkEnd(ctx: Context, listener: WorkListener): void;
  waitUntil(ctx: Context, promise: Promise<unknown>): void;
}

// By a symbol and not by `instanceof`: an application may hold two copies of the library (ESM and CommonJS).
const SHARED = Symbol.for('evenkeel.context');

const sharedOf = (ctx: unknown): Shared | undefined => (ctx as { [SHARED]?: Shared })[SHARED];

/**
 * The defaults are on the prototype, where they cost a call nothing: as fields they take 80 bytes, and 15 ns with the
 * collection of them. What few contexts have is in one object made on demand.
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

  /** The first context of a call. Given another call's context, it takes over what aborts that, without a signal made. */
  static begin(clock: Clock, fn: UserFunction, init: Partial<Context> | undefined): CallContext {
    const ctx = new CallContext(clock, clock.now(), fn, undefined);
    if (init !== undefined) CallContext.#init(ctx, init);
    return ctx;
  }

  static #init(ctx: CallContext, init: Partial<Context>): void {
    const { clock } = ctx;
    if (typeof init !== 'object' || init === null) invalid('context', 'init', 'an object', init, true);
    const shared = sharedOf(init);
    if (shared !== undefined) {
      ctx.#abortable = shared.abortableOf(init as Context);
      if (#from in init) {
        const extra = CallContext.#extraOf(ctx);
        extra.outer = init as CallContext;
        extra.depth = 1 + ((init as CallContext).#rootExtra()?.depth ?? 0);
      }
      CallContext.#change(ctx, { ...init, ...CallContext.#timesOf(ctx, init as Context) });
    } else {
      // A spread copy has lost what aborts its call.
      if ('clock' in init && 'startedAt' in init) ours(init as Context);
      CallContext.#change(ctx, init);
    }
    if (ctx.clock !== clock) throw new TypeError("context: clock must be the pipeline's own, got another one");
    if (ctx.#abortable?.aborted) throw ctx.#abortable.reason;
  }

  /** A context like `ctx` but for `changes` and what aborts it. */
  static derive(ctx: CallContext, changes: object | undefined, abortable: Abortable | undefined): CallContext {
    const made = new CallContext(ctx.clock, ctx.startedAt, ctx, abortable ?? ctx.#abortable);
    const extra = ctx.#extra;
    if (extra?.changed) {
      Object.assign(made, ctx);
      CallContext.#extraOf(made).changed = true;
      CallContext.#extraOf(made).receivedAt = extra.receivedAt;
    }
    if (changes !== undefined) CallContext.#change(made, changes);
    return made;
  }

  /** `derive(ctx, { startedAt })` without its checks. */
  static at(ctx: CallContext, startedAt: number): CallContext {
    const made = CallContext.derive(ctx, undefined, undefined);
    made.startedAt = startedAt;
    return made;
  }

  get signal(): AbortSignal {
    if (this.#abortable !== undefined) return this.#abortable.signal;
    // Nothing can abort the call: a signal that never does, the same for all of the call's contexts.
    const root = this.#root();
    root.#abortable ??= SignalScope.of(new AbortController().signal);
    return root.#abortable.signal;
  }

  get receivedAt(): number {
    return this.#extra?.receivedAt ?? this.#root().startedAt;
  }

  get [SHARED](): Shared {
    return CallContext.#shared;
  }

  #root(): CallContext {
    let ctx: CallContext = this;
    while (typeof ctx.#from !== 'function') ctx = ctx.#from;
    return ctx;
  }

  #rootExtra(): Extra | undefined {
    return this.#root().#extra;
  }

  static #extraOf(ctx: CallContext): Extra {
    ctx.#extra ??= {
      changed: false,
      receivedAt: undefined,
      refusals: undefined,
      outer: undefined,
      depth: 0,
      body: undefined,
      workListeners: undefined,
    };
    return ctx.#extra;
  }

  /** The context around `ctx`: what it was derived from, or that of the call in which its call was made. */
  static #around(ctx: CallContext): CallContext | undefined {
    const from = ctx.#from;
    return typeof from === 'function' ? ctx.#extra?.outer : from;
  }

  /** What to take over of another call's times: that one began earlier, and by another clock they mean nothing here. */
  static #timesOf(ctx: CallContext, { clock, receivedAt, deadline }: Context): Partial<Context> {
    const times = sameClock(clock, ctx.clock) ? { receivedAt, deadline } : { deadline: Infinity };
    return { ...times, clock: ctx.clock, startedAt: ctx.startedAt };
  }

  static #change(ctx: CallContext, changes: Partial<Context>): void {
    const extra = CallContext.#extraOf(ctx);
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

  /** Whether it is a context of this copy of the library. */
  static is(ctx: unknown): ctx is CallContext {
    return typeof ctx === 'object' && ctx !== null && #from in ctx;
  }

  static abortableOf(ctx: CallContext): Abortable | undefined {
    return ctx.#abortable;
  }

  /**
   * Calls the user's function with `ctx`, as work of `under` and of all contexts around it. {@link ended} has to be called
   * when the promise has settled.
   */
  static start<R>(ctx: CallContext, under: CallContext): Promise<R> {
    const abortable = ctx.#abortable;
    if (abortable?.aborted) {
      // Nothing is sent, and it ends all the same.
      CallContext.#begun(under, 0);
      return rejectSoon(abortable.reason);
    }
    const from = under.#from;
    let fn: UserFunction;
    // Nearly always: the first context of a call that is not made in another one.
    if (typeof from === 'function' && under.#extra === undefined) {
      under.#work = (under.#work + RUNNING) | SENT;
      fn = from;
    } else fn = CallContext.#begun(under, SENT);
    try {
      return Promise.resolve(fn(ctx as never)) as Promise<R>;
    } catch (error) {
      return rejectSoon(error);
    }
  }

  /** Marks `ctx` and all contexts around it; returns the function. */
  static #begun(ctx: CallContext, sent: number): UserFunction {
    let fn: UserFunction | undefined;
    let one: CallContext | undefined = ctx;
    do {
      one.#work = (one.#work + RUNNING) | sent;
      const from: UserFunction | CallContext = one.#from;
      if (typeof from === 'function') fn ??= from;
      one = CallContext.#around(one);
    } while (one !== undefined);
    return fn as UserFunction;
  }

  /** A function that `start` called under `ctx` has settled. Returns whether other work under it goes on. */
  static ended(ctx: CallContext, ok: boolean, result: unknown): boolean {
    if (typeof ctx.#from === 'function' && ctx.#extra === undefined) ctx.#work -= RUNNING;
    else CallContext.#ended(ctx, ok, result);
    return ctx.#work >= RUNNING;
  }

  static #ended(ctx: CallContext, ok: boolean, result: unknown): void {
    let one: CallContext | undefined = ctx;
    do {
      one.#work -= RUNNING;
      const listeners: WorkListener[] | undefined = one.#extra?.workListeners;
      if (listeners !== undefined && one.#work < RUNNING) {
        (one.#extra as Extra).workListeners = undefined;
        for (const listener of listeners) listener.workEnded(ok, result);
      }
      one = CallContext.#around(one);
    } while (one !== undefined);
  }

  static isWorking(ctx: CallContext, besides: number): boolean {
    return ctx.#work >= RUNNING * (besides + 1);
  }

  static depthOf(ctx: CallContext): number {
    return ctx.#rootExtra()?.depth ?? 0;
  }

  static wasRefused(ctx: CallContext, error: unknown): error is RejectedError {
    return ctx.#rootExtra()?.refusals?.includes(error as RejectedError) ?? false;
  }

  /** The body named last under `ctx`, while it is open. */
  static #openBody(ctx: CallContext): Body | undefined {
    const body = ctx.#extra?.body;
    return body !== undefined && body.pending > 0 ? body : undefined;
  }

  static #waitUntil(ctx: CallContext, promise: Promise<unknown>): void {
    const own = CallContext.#openBody(ctx);
    const body = own ?? { pending: 0, failed: false, listeners: [] };
    body.pending++;
    for (let one: CallContext | undefined = ctx; one !== undefined; one = CallContext.#around(one)) {
      one.#work += RUNNING;
      CallContext.#extraOf(one).body = body;
    }
    const end = (failed: boolean): void => {
      body.failed ||= failed;
      body.pending--;
      CallContext.ended(ctx, !failed, undefined);
      if (body.pending === 0) for (const listener of body.listeners.splice(0)) listener();
    };
    void whenSettled(
      promise,
      () => end(false),
      () => end(true),
    );
  }

  static readonly #shared: Shared = {
    abortableOf: (ctx) => (ctx as CallContext).#abortable,
    derive: (ctx, changes, abortable) => CallContext.derive(ctx as CallContext, changes, abortable),
    noteRefusal: (ctx, error) => {
      const extra = CallContext.#extraOf((ctx as CallContext).#root());
      extra.refusals ??= [];
      extra.refusals.push(error);
    },
    wasSent: (ctx) => ((ctx as CallContext).#work & SENT) !== 0,
    isWorking: (ctx, besides) => CallContext.isWorking(ctx as CallContext, besides),
    openBody: (ctx) => CallContext.#openBody(ctx as CallContext),
    onWorkEnd: (ctx, listener) => {
      const extra = CallContext.#extraOf(ctx as CallContext);
      extra.workListeners ??= [];
      extra.workListeners.push(listener);
    },
    waitUntil: (ctx, promise) => CallContext.#waitUntil(ctx as CallContext, promise),
  };

  static {
    const defaults = { attempt: 0, key: undefined, tier: 3, cost: 1, deadline: Infinity } as const;
    Object.assign(CallContext.prototype, defaults);
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

function ours(ctx: Context): Shared {
  return (
    sharedOf(ctx) ??
    (() => {
      throw new TypeError('derive: ctx must be a context that a pipeline has passed on; a spread copy is none');
    })()
  );
}

/**
 * A context like `ctx` but for `changes`; `ctx` stays as it was, and a signal that nobody has asked for stays unmade.
 * The one way to change a context.
 *
 * A policy that has waited passes on `derive(ctx, { startedAt: ctx.clock.now() })`.
 *
 * @throws TypeError when `ctx` is not a context that a pipeline has passed on (a spread copy is not).
 */
export function derive<C extends Context>(ctx: C, changes: NoInfer<Partial<C>>): C;
/** For a policy that is generic in its context. */
export function derive<C extends Context>(ctx: C, changes: Partial<Context>): C;
export function derive<C extends Context>(ctx: C, changes: Partial<C>): C {
  return ours(ctx).derive(ctx, changes, undefined) as C;
}

/** `derive(ctx, { startedAt })` for a time that needs no check. */
export function derivedAt<C extends Context>(ctx: C, startedAt: number): C {
  return CallContext.is(ctx)
    ? (CallContext.at(ctx, startedAt) as Context as C)
    : (derive<Context>(ctx, { startedAt }) as C);
}

/** A context like `ctx` that aborts by `scope`, which is left to its maker to link to what aborted `ctx`. */
export function deriveAbortable<C extends Context>(ctx: C, scope: Abortable): C {
  if (CallContext.is(ctx)) return CallContext.derive(ctx, undefined, scope) as Context as C;
  return ours(ctx).derive(ctx, undefined, scope) as C;
}

/** Notes that a gate of the call's own pipeline refused it with `error`. */
export function noteRefusal(ctx: Context, error: RejectedError): void {
  sharedOf(ctx)?.noteRefusal(ctx, error);
}

/** Whether a function was called under `ctx` or a context derived from it; false for what is no context of a call. */
export const wasSent = (ctx: unknown): boolean => sharedOf(ctx)?.wasSent(ctx as Context) ?? false;

/** Whether a function called under `ctx`, or the body of its answer, has not ended, besides so many of them. */
export const isWorking = (ctx: Context, besides = 0): boolean =>
  CallContext.is(ctx) ? CallContext.isWorking(ctx, besides) : (sharedOf(ctx)?.isWorking(ctx, besides) ?? false);

/** The open body of an answer given under `ctx`. */
export const openBodyOf = (ctx: Context): Body | undefined => sharedOf(ctx)?.openBody(ctx);

/** Has `listener` told when all work under `ctx` has ended; to be called only while it {@link isWorking}. */
export const onWorkEnd = (ctx: Context, listener: WorkListener): void => sharedOf(ctx)?.onWorkEnd(ctx, listener);

/**
 * Says that the answer goes on after the function has returned it, as a response does whose body is still to be read.
 * The caller has the answer at once; permits, and the verdict where the answer itself is no failure, wait for `promise`:
 * if it rejects, the call counts as `dropped`. Work that waits for a body is not abandoned before the caller gives up.
 *
 * @param ctx the context that the function was called with
 * @param promise ends with the answer; its rejection is handled
 * @throws TypeError when `ctx` is not a context that a pipeline has passed on
 * @example
 * guard.execute(async (ctx) => {
 *   const response = await fetch(url, { signal: ctx.signal });
 *   const [body, copy] = response.body.tee();
 *   waitUntil(ctx, copy.pipeTo(new WritableStream()));
 *   return new Response(body, response);
 * });
 */
export function waitUntil(ctx: Context, promise: PromiseLike<unknown>): void {
  if (typeof promise?.then !== 'function') invalid('waitUntil', 'promise', 'a promise', promise, true);
  const shared = typeof ctx === 'object' && ctx !== null ? sharedOf(ctx) : undefined;
  if (shared === undefined) throw new TypeError('waitUntil: ctx must be the context that the function was called with');
  shared.waitUntil(ctx, Promise.resolve(promise));
}

/** What can abort `ctx`; undefined = nothing can. Does not make a signal. */
export function abortableOf(ctx: Context): Abortable | undefined {
  if (CallContext.is(ctx)) return CallContext.abortableOf(ctx);
  const shared = sharedOf(ctx);
  if (shared !== undefined) return shared.abortableOf(ctx);
  // A context of somebody else's making, as in a test that calls `run` by hand.
  return (ctx as Partial<Context>).signal && SignalScope.of(ctx.signal);
}
