import type { Context } from '../call/context.js';
import type { Rejection } from '../errors.js';
import type { Gate, Next, Policy } from '../policy.js';

/** Adjacent policies that run as one. */
export interface Step {
  /** Takes the permits of the gates that stand outermost, or of none and says which refused. */
  admit(ctx: Context): Rejection | undefined;
  /** After `admit`: what is inside, and what is done with its outcome. */
  proceed<C extends Context, R>(ctx: C, next: Next<C, R>): Promise<R>;
  /** Both. */
  run<C extends Context, R>(ctx: C, next: Next<C, R>): Promise<R>;
}

/** What a step has to know of what is inside it. */
export interface Inside {
  /** Whether it ends by itself soon after an abort: a step does, another's policy may not. */
  readonly ends: boolean;
  /** How many microtasks it may take for that; more than what is inside it takes, so that it is settled first. */
  readonly microtasks: number;
}

/** What shares the one promise of a step: some gates, or an outcome hook. */
export interface Layer {
  /** Lets the call in, or says which gate refused it. What it throws is the outcome for the layers around it. */
  admit(ctx: Context): Rejection | undefined;
  /**
   * What the value becomes for the layers around it. `next` runs what is inside again; `elapsedMs` is undefined where
   * it has not been measured yet. None: it stays as it is.
   */
  readonly succeed?:
    | ((value: unknown, ctx: Context, next: Next<Context, unknown>, elapsedMs: number | undefined) => unknown)
    | undefined;
  /** Throws the error, or returns or promises what takes its place. */
  fail(error: unknown, ctx: Context, next: Next<Context, unknown>, elapsedMs: number | undefined): unknown;
}

/** What is around a time limit in its step. */
export interface Around {
  /** All gates, outermost first, where a success concerns nothing else and none of them judges. */
  readonly gates: readonly Gate[] | undefined;
  /** Tells all layers how the call ended; returns, promises or throws what their caller gets. */
  leave(
    ok: boolean,
    result: unknown,
    ctx: Context,
    next: Next<Context, unknown>,
    elapsedMs: number | undefined,
  ): unknown;
  /** The gate at `place` threw as it released its permit: for what is around it the call has failed. */
  failAround(place: number, error: unknown, ctx: Context, next: Next<Context, unknown>, elapsedMs: number): unknown;
}

/** The calls of a time limit. */
export interface Limited {
  /** Throws only where `next` has not been called. */
  start(ctx: Context, next: Next<Context, unknown>): Promise<unknown>;
}

/**
 * A policy that is no gate and can share a step with gates. `innermost`: nothing of its step is inside it.
 * It brings the code of such a step, which a pipeline of gates does without.
 */
export abstract class Fusible implements Policy {
  abstract readonly name: string;
  abstract readonly innermost: boolean;
  abstract run<C extends Context, R>(ctx: C, next: Next<C, R>): Promise<R>;
  /** One step of `policies`, of which this is one; `labels` are what they are called in refusals. */
  abstract fuse(policies: readonly Policy<never>[], labels: readonly string[], inside: Inside): Step;
  /** Of an innermost one: how calls end early. */
  limit?(around: Around, inside: Inside): Limited;
}
