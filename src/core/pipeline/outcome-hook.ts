import type { Context } from '../call/context.js';
import type { Next, Policy } from '../policy.js';
import type { Clock } from '../time/clock.js';
import { FusedStep } from './fused-step.js';
import { ANYTHING } from './gate-step.js';
import { Fusible, type Inside, type Layer, type Step } from './step.js';

/**
 * A policy that does not wait before the call and looks at how it ended. In a step with others, `run` is not called.
 */
export abstract class OutcomeHook extends Fusible implements Layer {
  abstract readonly clock: Clock;
  readonly innermost = false;
  #step: Step | undefined;
  abstract readonly succeed: Layer['succeed'];
  abstract admit(ctx: Context): undefined;
  abstract fail(error: unknown, ctx: Context, next: Next<Context, unknown>): unknown;

  fuse(policies: readonly Policy<never>[], labels: readonly string[], inside: Inside): Step {
    return new FusedStep(policies, labels, inside);
  }

  run<C extends Context, R>(ctx: C, next: Next<C, R>): Promise<R> {
    this.#step ??= this.fuse([this], [this.name], ANYTHING);
    return this.#step.run(ctx, next);
  }
}
