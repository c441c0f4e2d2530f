import { type Context, derive, isWorking, noteRefusal, type Provides } from '../../core/call/context.js';
import { callNext, rejectSoon } from '../../core/call/promises.js';
import type { RejectedError } from '../../core/errors.js';
import { releaseInTime } from '../../core/pipeline/release.js';
import type { Classify, Next, PermitHolder, Policy, Verdict, WorkPermits } from '../../core/policy.js';
import type { Clock } from '../../core/time/clock.js';
import { judge } from '../../core/verdict.js';

/** The context behind a balancer's policy, which sets `instance`: `execute` does not ask for it. */
export type BalancedContext<T> = Context & Provides<'instance'> & { readonly instance: T };

/** What a policy needs of its balancer. */
export interface Picker<I> {
  /** The instance for a call, if there is one. */
  choose(ctx: Context): I | undefined;
  refuse(ctx: Context): RejectedError;
  /** How a call to it ended. */
  learn(picked: I, verdict: Verdict, ctx: Context): void;
  /** Its work has ended, or in `abandonedMs` has not. */
  leave(picked: I, abandoned: boolean): void;
}

export class BalancerPolicy<T, I extends { readonly value: T }> implements Policy<BalancedContext<T>> {
  readonly name: string;
  readonly clock: Clock;
  readonly #classify: Classify | undefined;
  readonly #picker: Picker<I>;
  readonly #permits: WorkPermits;

  constructor(name: string, clock: Clock, classify: Classify | undefined, permits: WorkPermits, picker: Picker<I>) {
    this.name = name;
    this.#permits = permits;
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
      this.#picker.leave(picked, false);
      return rejectSoon(error);
    }
    return callNext(inner, next).then(
      (value) => {
        this.#end(picked, true, value, inner);
        return value;
      },
      (error: unknown) => {
        this.#end(picked, false, error, inner);
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
      if (isWorking(ctx)) {
        releaseInTime(this.#holderOf(picked), this.#permits, verdict, 0, ctx, ok);
      } else {
        this.#picker.leave(picked, false);
        this.#picker.learn(picked, verdict, ctx);
      }
    }
  }

  /** In flight until the work has ended; judged at the answer, or at the end of its body. */
  #holderOf(picked: I): PermitHolder {
    let learned = false;
    const learn = (verdict: Verdict, ctx: Context): void => {
      if (!learned) this.#picker.learn(picked, verdict, ctx);
      learned = true;
    };
    return {
      classify: this.#classify,
      answered: (verdict, _, ctx) => learn(verdict, ctx as Context),
      release: (verdict, _, ctx, details) => {
        this.#picker.leave(picked, details?.abandoned === true);
        learn(verdict, ctx as Context);
      },
    };
  }
}
