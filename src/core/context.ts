import { type Abortable, type AbortScope, SignalScope } from './abort.js';
import type { Clock } from './clock.js';
import type { RejectedError } from './errors.js';
import { checkNumber } from './validate.js';

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

/** What a caller may say of a call; the own fields of a custom context have to be given. */
export type Init<C extends Context> = Omit<C, keyof Context> & Partial<Context>;

/** The function that a call is about. */
export type UserFunction = (ctx: never) => unknown;

// Asked of the object, not of its class: a context may come from another copy of the library.
const DERIVE = Symbol.for('evenkeel.context.derive');
const ABORTABLE = Symbol.for('evenkeel.context.abortable');

type Internal = {
  readonly [ABORTABLE]: Abortable | undefined;
  [DERIVE]<C extends Context>(changes: Partial<C> | undefined, abortable: Abortable | undefined): C;
};

/** The function that the call of `ctx` is about. */
export let userFunctionOf: (ctx: Context) => UserFunction;
/** Notes that a gate of the call's own pipeline refused it with `error`. */
export let noteRefusal: (ctx: Context, error: RejectedError) => void;
/** Whether `error` is such a refusal, not one that the user's function threw. */
export let wasRefused: (ctx: Context, error: unknown) => error is RejectedError;

export class CallContext implements Context {
  attempt = 0;
  key: string | undefined = undefined;
  tier: Tier = 3;
  cost = 1;
  receivedAt: number;
  deadline = Infinity;
  /** The call's first context, which holds what its contexts share. */
  readonly #root: CallContext;
  readonly #fn: UserFunction | undefined;
  #abortable: Abortable | undefined;
  /** In the root: whether a context of the call has fields beyond those of {@link Context}. */
  #custom = false;
  /** In the root: the refusals that policies inside the pipeline saw. */
  #refusals: RejectedError[] | undefined;

  constructor(
    readonly clock: Clock,
    public startedAt: number,
    root: CallContext | undefined,
    fn: UserFunction | undefined,
    abortable: Abortable | undefined,
  ) {
    this.receivedAt = startedAt;
    this.#root = root ?? this;
    this.#fn = fn;
    this.#abortable = abortable;
  }

  /** A call's first context. Given another call's context, it takes that one's abort over without making a signal. */
  static begin(clock: Clock, fn: UserFunction, init: object | undefined): CallContext {
    const ctx = new CallContext(clock, clock.now(), undefined, fn, undefined);
    if (init !== undefined) ctx.#begin(init);
    return ctx;
  }

  #begin(init: object): void {
    const { clock, startedAt } = this;
    if (DERIVE in init) {
      // Another call's context began at another time, perhaps by another clock.
      this.#abortable = (init as unknown as Internal)[ABORTABLE];
      this.#change({ ...init, clock, startedAt });
    } else {
      this.#change(init);
      if (this.clock !== clock) throw new TypeError("context: clock must be the pipeline's own, got another one");
    }
  }

  get signal(): AbortSignal {
    // With nothing that can abort the call: a signal that never does, the same for all of the call's contexts.
    const source = this.#abortable ?? (this.#root.#abortable ??= new SignalScope(new AbortController().signal));
    return source.signal;
  }

  get [ABORTABLE](): Abortable | undefined {
    return this.#abortable;
  }

  [DERIVE](changes: object | undefined, abortable: Abortable | undefined): CallContext {
    const made = new CallContext(this.clock, this.startedAt, this.#root, undefined, abortable ?? this.#abortable);
    made.attempt = this.attempt;
    made.key = this.key;
    made.tier = this.tier;
    made.cost = this.cost;
    made.receivedAt = this.receivedAt;
    made.deadline = this.deadline;
    if (this.#root.#custom) for (const field in this) if (!(field in made)) Object.assign(made, { [field]: this[field] });
    if (changes !== undefined) made.#change(changes);
    return made;
  }

  #change(changes: Partial<Context>): void {
    for (const field in changes) {
      if (field === 'signal') {
        if (changes.signal !== undefined) this.#abortable = new SignalScope(changes.signal);
        continue;
      }
      if (!(field in this)) this.#root.#custom = true;
      (this as Record<string, unknown>)[field] = changes[field as keyof Context];
    }
    const { tier } = this;
    if (tier !== 3 && tier !== 1 && tier !== 2) this.tier = 4;
    checkNumber('context', 'cost', this.cost, { min: 0 });
    checkNumber('context', 'deadline', this.deadline, { infinite: true });
    checkNumber('context', 'receivedAt', this.receivedAt, {});
  }

  static {
    userFunctionOf = (ctx) => {
      if (!(#root in ctx)) throw new TypeError('next: ctx must be the context it was given, or made from it by derive');
      return ctx.#root.#fn as UserFunction;
    };
    noteRefusal = (ctx, error) => {
      if (#root in ctx) (ctx.#root.#refusals ??= []).push(error);
    };
    wasRefused = (ctx, error): error is RejectedError =>
      #root in ctx && (ctx.#root.#refusals?.includes(error as RejectedError) ?? false);
  }
}

function ours(ctx: Context): Internal {
  if (!(DERIVE in ctx)) throw new TypeError('derive: ctx must be a context that a pipeline has passed on, got another');
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
export function derive<C extends Context>(ctx: C, changes: Partial<C>): C {
  return ours(ctx)[DERIVE](changes, undefined);
}

/** A context like `ctx` that aborts by `scope`, which is left to its maker to link to what aborted `ctx`. */
export function deriveAbortable<C extends Context>(ctx: C, scope: AbortScope): C {
  return ours(ctx)[DERIVE]<C>(undefined, scope);
}

/** What can abort `ctx`; undefined = nothing can. Does not make a signal. */
export function abortableOf(ctx: Context): Abortable | undefined {
  if (DERIVE in ctx) return (ctx as unknown as Internal)[ABORTABLE];
  // A context of somebody else's making, as in a test that calls `run` by hand.
  return (ctx as Partial<Context>).signal && new SignalScope(ctx.signal);
}
