import type { Context } from '../call/context.js';
import { rejectSoon } from '../call/promises.js';
import type { Next, Policy } from '../policy.js';
import type { Clock } from '../time/clock.js';
import { fuse } from './fused-step.js';
import { type Limit, LimitedCalls } from './limited-calls.js';
import { type FUSE, type Fuse, setFuse } from './step.js';

/** A policy that ends a call early. In a step with others, `run` is not called. */
export abstract class TimeLimit implements Policy, Limit {
  abstract readonly name: string;
  abstract readonly clock: Clock;
  declare readonly [FUSE]: Fuse;
  readonly innermost = true;
  readonly #calls = new LimitedCalls(this, undefined);

  abstract timeoutMs(): number;
  abstract answered(ok: boolean, result: unknown, elapsedMs: number, ctx: Context): void;
  abstract timedOut(at: number, timeoutMs: number): unknown;

  constructor() {
    setFuse(this, fuse);
  }

  run<C extends Context, R>(ctx: C, next: Next<C, R>): Promise<R> {
    try {
      return this.#calls.start(ctx, next as unknown as Next<Context, unknown>) as Promise<R>;
    } catch (error) {
      return rejectSoon(error);
    }
  }
}
