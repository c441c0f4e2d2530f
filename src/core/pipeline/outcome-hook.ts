import { abortableOf, type Context } from '../call/context.js';
import { callNext, rejectSoon, whenSettled } from '../call/promises.js';
import type { Next, Policy } from '../policy.js';
import type { Clock } from '../time/clock.js';
import { FusedStep } from './fused-step.js';
import { Fusible, type Inside, type Layer, type Step } from './step.js';

/** A policy that does not wait before the call and looks at how it ended. In a step with others, `run` is not called. */
export abstract class OutcomeHook extends Fusible implements Layer {
  abstract readonly clock: Clock;
  readonly innermost = false;
  abstract readonly succeed: Layer['succeed'];
  abstract admit(ctx: Context): undefined;
  abstract fail(error: unknown, ctx: Context, next: Next<Context, unknown>): unknown;

  fuse(policies: readonly Policy<never>[], labels: readonly string[], inside: Inside): Step {
    return new FusedStep(policies, labels, inside);
  }

  /** On its own: one closure, and none for the value, cost 15 % of a call less than a step. */
  run<C extends Context, R>(ctx: C, next: Next<C, R>): Promise<R> {
    // As in a step: a call that is over before it was sent is none of its requests.
    const abortable = abortableOf(ctx);
    if (abortable?.aborted) return rejectSoon(abortable.reason);
    this.admit(ctx);
    const again = next as unknown as Next<Context, unknown>;
    const { succeed } = this;
    const onValue =
      succeed === undefined ? undefined : (value: R) => succeed.call(this, value, ctx, again, undefined) as R;
    return whenSettled(callNext(ctx, next), onValue, (error) => this.fail(error, ctx, again) as R);
  }
}
