import type { RejectedError } from '../errors.js';
import { checkNumber, invalid } from '../options/validate.js';
import { type Clock, sameClock } from '../time/clock.js';
import { type Abortable, type AbortScope, SignalScope } from './abort.js';
import { rejectSoon, untilAbort } from './promises.js';

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

// Asked of the object, not of its class: a context may come from another copy of the library.
const DERIVE = Symbol.for('evenkeel.context.derive');
const ABORTABLE = Symbol.for('evenkeel.context.abortable');
const REFUSED = Symbol.for('evenkeel.context.refused');

type Internal = {
  readonly [ABORTABLE]: Abortable | undefined;
  [REFUSED](error: RejectedError): void;
  [DERIVE]<C extends Context>(changes: Partial<C> | undefined, abortable: Abortable | undefined): C;
};

/** Runs the user's function, which is left behind as soon as the call is aborted. The innermost step of a pipeline. */
export let callUser: <R>(ctx: Context) => Promise<R>;
/** Whether `error` is such a refusal, not one that the user's function threw. */
export let wasRefused: (ctx: Context, error: unknown) => error is RejectedError;

/**
 * The defaults are on the prototype, where they cost a call nothing: as fields they take 80 bytes, and 15 ns with the
 * collection of them.
 */
export class CallContext implements Context {
  declare attempt: number;
  declare key: string | undefined;
  declare tier: Tier;
  declare cost: number;
  declare deadline: number;
  readonly clock: Clock;
  startedAt: number;
  readonly #root: CallContext;
  #abortable: Abortable | undefined;
  #receivedAt: number | undefined;
  /** Whether it has more than the defaults. */
  #changed = false;
  /** In the call's first context: the function, and the refusals that policies inside the pipeline have seen. */
  readonly #fn: UserFunction | undefined;
  #refusals: RejectedError[] | undefined;

  constructor(
    clock: Clock,
    startedAt: number,
    fn: UserFunction | undefined,
    root: CallContext | undefined,
    abortable: Abortable | undefined,
  ) {
    this.clock = clock;
    this.startedAt = startedAt;
    this.#root = root ?? this;
    this.#abortable = abortable;
    this.#fn = fn;
  }

  /** The first context of a call. Given another call's context, it takes over what aborts that, without a signal made. */
  static begin(clock: Clock, fn: UserFunction, init: Partial<Context> | undefined): CallContext {
    const ctx = new CallContext(clock, clock.now(), fn, undefined, undefined);
    if (init !== undefined) {
      if (typeof init !== 'object' || init === null) invalid('context', 'init', 'an object', init, true);
      if (DERIVE in init) {
        ctx.#abortable = (init as Internal)[ABORTABLE];
        abandonOnAbort(ctx);
        ctx.#change({ ...init, ...ctx.#timesOf(init as Context) });
      } else {
        // A spread copy has lost what aborts its call.
        if ('clock' in init && 'startedAt' in init) ours(init as Context);
        ctx.#change(init);
      }
      if (ctx.clock !== clock) throw new TypeError("context: clock must be the pipeline's own, got another one");
      if (ctx.#abortable?.aborted) throw ctx.#abortable.reason;
    }
    return ctx;
  }

  get signal(): AbortSignal {
    if (this.#abortable !== undefined) return this.#abortable.signal;
    // Nothing can abort the call: a signal that never does, the same for all of the call's contexts.
    this.#root.#abortable ??= SignalScope.of(new AbortController().signal);
    return this.#root.#abortable.signal;
  }

  get receivedAt(): number {
    return this.#receivedAt ?? this.#root.startedAt;
  }

  get [ABORTABLE](): Abortable | undefined {
    return this.#abortable;
  }

  [REFUSED](error: RejectedError): void {
    this.#root.#refusals ??= [];
    this.#root.#refusals.push(error);
  }

  [DERIVE](changes: object | undefined, abortable: Abortable | undefined): CallContext {
    const made = new CallContext(this.clock, this.startedAt, undefined, this.#root, abortable ?? this.#abortable);
    if (this.#changed) {
      Object.assign(made, this);
      made.#receivedAt = this.#receivedAt;
      made.#changed = true;
    }
    if (changes !== undefined) made.#change(changes);
    return made;
  }

  /** What to take over of another call's times: that one began earlier, and by another clock they mean nothing here. */
  #timesOf({ clock, receivedAt, deadline }: Context): Partial<Context> {
    const times = sameClock(clock, this.clock) ? { receivedAt, deadline } : { deadline: Infinity };
    return { ...times, clock: this.clock, startedAt: this.startedAt };
  }

  #change(changes: Partial<Context>): void {
    this.#changed = true;
    for (const field of Object.keys(changes)) {
      const value: unknown = changes[field as keyof Context];
      // Not given, except for a key, which may be taken away.
      if ((value === undefined && field !== 'key') || field === '__proto__') continue;
      if (field === 'signal') this.#abortable = readAbortable(value);
      else if (field === 'receivedAt') this.#receivedAt = checkNumber('context', field, value, {});
      else (this as Record<string, unknown>)[field] = value;
    }
    const { tier, key } = this;
    if (tier !== 3 && tier !== 1 && tier !== 2) this.tier = 4;
    if (key !== undefined && typeof key !== 'string') invalid('context', 'key', 'a string', key, true);
    checkNumber('context', 'cost', this.cost, { min: 0 });
    checkNumber('context', 'attempt', this.attempt, { min: 0, integer: true });
    checkNumber('context', 'startedAt', this.startedAt, {});
    checkNumber('context', 'deadline', this.deadline, { infinite: true });
  }

  static {
    const defaults = { attempt: 0, key: undefined, tier: 3, cost: 1, deadline: Infinity } as const;
    Object.assign(CallContext.prototype, defaults);

    callUser = <R>(ctx: Context): Promise<R> => {
      checkContext(ctx);
      if (!(#root in ctx)) throw new TypeError(NEXT);
      const abortable = ctx.#abortable;
      if (abortable?.aborted) return rejectSoon(abortable.reason);
      let promise: Promise<R>;
      try {
        promise = Promise.resolve((ctx.#root.#fn as UserFunction)(ctx as never)) as Promise<R>;
      } catch (error) {
        return rejectSoon(error);
      }
      return abortable?.abandons ? untilAbort(promise, abortable) : promise;
    };
    wasRefused = (ctx, error): error is RejectedError =>
      #root in ctx && (ctx.#root.#refusals?.includes(error as RejectedError) ?? false);
  }
}

const NEXT = 'next: ctx must be the context that the policy was given, or made from it by derive';

/** What a policy in plain JavaScript calls `next` with. */
function checkContext(ctx: unknown): void {
  if (typeof ctx !== 'object' || ctx === null) throw new TypeError(`${NEXT}, got ${String(ctx)}`);
}

function readAbortable(value: unknown): Abortable {
  // Not by `instanceof`: some clients bring their own signals, and a scope may come from another copy of the library.
  const { addEventListener, removeEventListener } = (value ?? {}) as Partial<AbortSignal>;
  if (typeof addEventListener === 'function' && typeof removeEventListener === 'function') {
    return SignalScope.of(value as AbortSignal);
  }
  const { add, remove, abandons } = (value ?? {}) as Partial<AbortScope>;
  if (typeof add === 'function' && typeof remove === 'function' && typeof abandons === 'boolean') {
    return value as AbortScope;
  }
  return invalid('context', 'signal', 'an AbortSignal or an AbortScope', value, true);
}

function ours(ctx: Context): Internal {
  if (!(DERIVE in ctx))
    throw new TypeError('derive: ctx must be a context that a pipeline has passed on; a spread copy is none');
  return ctx as unknown as Internal;
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
  return ours(ctx)[DERIVE](changes, undefined);
}

/** A context like `ctx` that aborts by `scope`, which is left to its maker to link to what aborted `ctx`. */
export function deriveAbortable<C extends Context>(ctx: C, scope: AbortScope): C {
  return ours(ctx)[DERIVE]<C>(undefined, scope);
}

/** Notes that a gate of the call's own pipeline refused it with `error`. */
export function noteRefusal(ctx: Context, error: RejectedError): void {
  if (REFUSED in ctx) (ctx as unknown as Internal)[REFUSED](error);
}

/** Has the user's function left behind as soon as `ctx` aborts: somebody between holds a permit, or waits for it. */
export function abandonOnAbort(ctx: Context): void {
  checkContext(ctx);
  const abortable = abortableOf(ctx);
  if (abortable !== undefined) abortable.abandons = true;
}

/** Whether a function was called under `ctx` or a context derived from it. */
export function wasSent(_ctx: unknown): boolean {
  return false;
}

/** What can abort `ctx`; undefined = nothing can. Does not make a signal. */
export function abortableOf(ctx: Context): Abortable | undefined {
  if (DERIVE in ctx) return (ctx as unknown as Internal)[ABORTABLE];
  // A context of somebody else's making, as in a test that calls `run` by hand.
  return (ctx as Partial<Context>).signal && SignalScope.of(ctx.signal);
}
