import type { Context } from '../call/context.js';
import type { Next, Policy } from '../policy.js';
import type { Clock } from '../time/clock.js';
import { FusedStep } from './fused-step.js';
import { ANYTHING } from './gate-step.js';
import { type Limit, LimitedCalls } from './limited-calls.js';
import { type Around, Fusible, type Inside, type Limited, type Step } from './step.js';

/** A policy that ends a call early. In a step with others, `run` is not called. */
export abstract class TimeLimit extends Fusible implements Limit {
  abstract readonly clock: Clock;
  readonly innermost = true;
  #step: Step | undefined;

  abstract timeoutMs(): number;
  abstract answered(ok: boolean, result: unknown, elapsedMs: number, ctx: Context): void;
  abstract timedOut(at: number, timeoutMs: number): unknown;

  fuse(policies: readonly Policy<never>[], labels: readonly string[], inside: Inside): Step {
    return new FusedStep(policies, labels, inside);
  }

  override limit(around: Around, inside: Inside): Limited {
    return new LimitedCalls(this, around, inside);
  }

  run<C extends Context, R>(ctx: C, next: Next<C, R>): Promise<R> {
    this.#step ??= this.fuse([this], [this.name], ANYTHING);
    return this.#step.run(ctx, next);
  }
}
