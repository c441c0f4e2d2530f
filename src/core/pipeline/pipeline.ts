import {
  CallContext,
  type Context,
  type Init,
  type NotInferred,
  type UserFunction,
  wasRefused,
} from '../call/context.js';
import { rejectSoon } from '../call/promises.js';
import type { Rejection } from '../errors.js';
import type { Next, Policy } from '../policy.js';
import { type Clock, sameClock, systemClock } from '../time/clock.js';
import { toError } from './gate-step.js';
import { isGate, link } from './link.js';
import type { Step } from './step.js';

/**
 * What `tryExecute` resolves with. `ok` tells which; the optional fields let it do so without `strictNullChecks`, too.
 */
export type Result<R> =
  | { ok: true; value: R; rejection?: undefined }
  | { ok: false; rejection: Rejection; value?: undefined };

/** `init` has to be given where the context has fields of its own. */
type InitArgument<C extends Context> = Record<never, never> extends Init<C> ? [init?: Init<C>] : [init: Init<C>];

// `A` comes from the function alone: an optional argument stays one though `init` names it.
type InitFrom<C extends Context, A extends unknown[]> = Init<C> | ((...args: NotInferred<A>) => Init<C>);
type InitFromArgument<C extends Context, A extends unknown[]> =
  Record<never, never> extends Init<C> ? [init?: InitFrom<C, A>] : [init: InitFrom<C, A>];

/** Policies around a function, linked once and run many times. */
export interface Pipeline<C extends Context = Context> {
  /** Outermost first. */
  readonly policies: readonly Policy<C>[];
  /**
   * Calls `fn` under the policies. Rejects with a {@link RejectedError} when a gate refuses, with `signal.reason` when
   * the caller aborts (also when `fn` ignores the signal), with a {@link TimeoutError} when a timeout fires, else
   * with what `fn` threw.
   */
  execute<R>(fn: (ctx: C) => R | PromiseLike<R>, ...init: InitArgument<C>): Promise<R>;
  /** Like `execute`, but a refusal is a value: no error object is made where no policy inside has to see one. */
  tryExecute<R>(fn: (ctx: C) => R | PromiseLike<R>, ...init: InitArgument<C>): Promise<Result<R>>;
  /** `fn` under the policies, as a function of its other arguments; `init` may be made from them. */
  wrap<A extends unknown[], R>(
    fn: (ctx: C, ...args: A) => R | PromiseLike<R>,
    ...init: InitFromArgument<C, A>
  ): (...args: A) => Promise<R>;
  /** The order, one line a policy. */
  describe(): string;
}

class LinkedPipeline<C extends Context> implements Pipeline<C> {
  readonly policies: readonly Policy<C>[];
  readonly #clock: Clock;
  readonly #labels: readonly string[];
  /** What runs as one step outermost, if anything: its gates refuse before anything else is done. */
  readonly #head: Step | undefined;
  /** What comes after them. */
  readonly #rest: Next<C, never>;

  constructor(policies: readonly Policy<C>[]) {
    policies.forEach(checkPolicy);
    this.policies = Object.freeze([...policies]);
    this.#labels = labelled(policies);
    this.#clock = commonClock(policies, this.#labels);
    const { head, rest } = link(policies, this.#labels);
    this.#head = head;
    this.#rest = rest;
  }

  execute<R>(fn: (ctx: C) => R | PromiseLike<R>, init?: object): Promise<R> {
    try {
      const ctx = this.#begin(fn, init);
      const head = this.#head;
      if (head === undefined) return this.#rest(ctx);
      const rejection = head.admit(ctx);
      return rejection === undefined ? head.proceed<C, R>(ctx, this.#rest) : rejectSoon(toError(rejection));
    } catch (error) {
      return rejectSoon(error);
    }
  }

  tryExecute<R>(fn: (ctx: C) => R | PromiseLike<R>, init?: object): Promise<Result<R>> {
    try {
      const ctx = this.#begin(fn, init);
      const head = this.#head;
      const rejection = head?.admit(ctx);
      if (rejection !== undefined) return Promise.resolve({ ok: false, rejection: asData(rejection) });
      const promise: Promise<R> = head === undefined ? this.#rest(ctx) : head.proceed<C, R>(ctx, this.#rest);
      return promise.then(
        (value) => ({ ok: true, value }),
        (error: unknown) => {
          // The function may have thrown the refusal of another pipeline: that is its own affair.
          if (wasRefused(ctx, error)) return { ok: false, rejection: asData(error) };
          throw error;
        },
      );
    } catch (error) {
      return rejectSoon(error);
    }
  }

  wrap<A extends unknown[], R>(
    fn: (ctx: C, ...args: A) => R | PromiseLike<R>,
    init?: object | ((...args: A) => object),
  ): (...args: A) => Promise<R> {
    checkFunction('wrap', fn);
    return (...args) => {
      try {
        const given = typeof init === 'function' ? init(...args) : init;
        return this.execute((ctx) => fn(ctx, ...args), given);
      } catch (error) {
        return rejectSoon(error);
      }
    };
  }

  describe(): string {
    return this.policies.map((policy, i) => this.#labels[i] + (isGate(policy) ? ' (gate)' : '')).join('\n');
  }

  #begin(fn: unknown, init: object | undefined): C {
    checkFunction('execute', fn);
    return CallContext.begin(this.#clock, fn as UserFunction, init) as Context as C;
  }
}

/** A refusal without what its error has besides. */
const asData = ({ policy, reason, retryAfterMs }: Rejection): Rejection => ({ policy, reason, retryAfterMs });

function checkFunction(method: string, fn: unknown): void {
  if (typeof fn !== 'function') throw new TypeError(`pipeline: ${method} needs a function, got ${typeof fn}`);
}

function checkPolicy(policy: Policy<never>, place: number): void {
  if (typeof policy?.run !== 'function' || typeof policy.name !== 'string') {
    throw new TypeError(
      `pipeline: argument ${place + 1} must be a policy, an object with name and run, got ${Array.isArray(policy) ? 'an array' : typeof policy}`,
    );
  }
}

/** The policies' names, the second of a name as `name#2`. */
function labelled(policies: readonly Policy<never>[]): string[] {
  const labels: string[] = [];
  for (const { name } of policies) {
    let label = name;
    for (let n = 2; labels.includes(label); n++) label = `${name}#${n}`;
    labels.push(label);
  }
  return labels;
}

function commonClock(policies: readonly Policy<never>[], labels: readonly string[]): Clock {
  const first = policies.findIndex((policy) => policy.clock !== undefined);
  const clock = policies[first]?.clock ?? systemClock;
  policies.forEach((policy, i) => {
    if (sameClock(policy.clock ?? clock, clock)) return;
    throw new TypeError(`pipeline: all policies must share one clock; ${labels[i]} has another than ${labels[first]}`);
  });
  return clock;
}

/**
 * Composes policies: `pipeline(a, b, c)` runs `a` outermost. Gates and retries that stand side by side, and a time
 * limit right inside them, run as one step.
 *
 * @throws TypeError for what is not a policy, and for policies with different clocks.
 */
export function pipeline<C extends Context = Context>(...policies: Policy<C>[]): Pipeline<C> {
  return new LinkedPipeline<C>(policies);
}
