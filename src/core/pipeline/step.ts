import type { Context } from '../call/context.js';
import type { Rejection } from '../errors.js';
import type { Next, Policy } from '../policy.js';
import type { Limit } from './limited-calls.js';

/** Adjacent policies that run as one. */
export interface Step {
  /** Takes the permits of the gates that stand outermost, or of none and says who refused. */
  admit(ctx: Context): Rejection | undefined;
  /** After `admit`: what is further in, and what becomes of its outcome. */
  proceed<C extends Context, R>(ctx: C, next: Next<C, R>): Promise<R>;
  /** Both. */
  run<C extends Context, R>(ctx: C, next: Next<C, R>): Promise<R>;
}

/** What shares the one promise of a step: some gates, or a stage. */
export interface Layer {
  /** Lets the call in, or says who refused it. What it throws is the outcome for those further out. */
  admit(ctx: Context): Rejection | undefined;
  /**
   * What the value becomes for those further out. `next` runs what is further in again; `elapsedMs` is undefined where nobody has
   * measured it yet. None: it stays as it is.
   */
  readonly succeed?:
    | ((value: unknown, ctx: Context, next: Next<Context, unknown>, elapsedMs: number | undefined) => unknown)
    | undefined;
  /** Throws the error, or returns or promises what comes in its place. */
  fail(error: unknown, ctx: Context, next: Next<Context, unknown>, elapsedMs: number | undefined): unknown;
}

/** Makes one step of policies, of which at least one is no gate. */
export type Fuse = (policies: readonly Policy<never>[], labels: readonly string[]) => Step;

export const FUSE: unique symbol = /* @__PURE__ */ Symbol('fuse') as never;

/** In place of a class field, whose computed name would keep the class in every bundle. */
export function setFuse(policy: { readonly [FUSE]: Fuse }, fuse: Fuse): void {
  (policy as { [FUSE]: Fuse })[FUSE] = fuse;
}

/** A policy that is no gate and can share a step; if `innermost`, nothing of its step is further in. */
export type Fusable = { readonly [FUSE]: Fuse } & (
  | (Layer & { readonly innermost: false })
  | (Limit & { readonly innermost: true })
);
