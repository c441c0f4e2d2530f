import { type Context, derive, noteRefusal, type Provides } from '../../core/call/context.js';
import { callNext, rejectSoon } from '../../core/call/promises.js';
import type { RejectedError } from '../../core/errors.js';
import { judge } from '../../core/verdict.js';
import type { Classify, Next, Policy, Verdict } from '../../core/policy.js';
import type { Clock } from '../../core/time/clock.js';

/** The context behind a balancer's policy, which sets `instance`: `execute` does not ask for it. */
export type BalancedContext<T> = Context & Provides<'instance'> & { readonly instance: T };

/** What a policy needs of its balancer. */
export interface Picker<I> {
  /** The instance for a call, if there is one. */
  choose(ctx: Context): I | undefined;
  refuse(ctx: Context): RejectedError;
  settle(picked: I, verdict: Verdict, ctx: Context): void;
}

export class BalancerPolicy<T, I extends { readonly value: T }> implements Policy<BalancedContext<T>> {
  readonly name: string;
  readonly clock: Clock;
  readonly #classify: Classify | undefined;
  readonly #picker: Picker<I>;

  constructor(name: string, clock: Clock, classify: Classify | undefined, picker: Picker<I>) {
    this.name = name;
    this.clock = clock;
    this.#classify = classify;
    this.#picker = picker;
  }

  readonly run = <C extends BalancedContext<T>, R>(ctx: C, next: Next<C, R>): Promise<R> => {
    const picked = this.#picker.choose(ctx);
    if (picked === undefined) {
      const error = this.#picker.refuse(ctx);
      noteRefusal(ctx, error);
      return rejectSoon(error);
    }
    let inner: C;
    try {
      inner = derive<BalancedContext<T>>(ctx, { instance: picked.value } as Partial<BalancedContext<T>>) as C;
    } catch (error) {
      // No context of ours, or of a broken clock.
      this.#picker.settle(picked, 'ignored', ctx);
      return rejectSoon(error);
    }
    return callNext(inner, next).then(
      (value) => {
        this.#end(picked, true, value, ctx);
        return value;
      },
      (error: unknown) => {
        this.#end(picked, false, error, ctx);
        throw error;
      },
    );
  };

  /** @throws what `classify` throws; the call is reported all the same. */
  #end(picked: I, ok: boolean, result: unknown, ctx: Context): void {
    let verdict: Verdict = 'ignored';
    try {
      verdict = judge(this.#classify, ok, result, ctx);
    } finally {
      this.#picker.settle(picked, verdict, ctx);
    }
  }
}
