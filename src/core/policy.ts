import type { Context } from './call/context.js';
import type { Reason } from './errors.js';
import type { Observer } from './events.js';
import type { Random } from './numbers/random.js';

export type { Outcome, Verdict } from './outcome.js';

import type { Outcome, Verdict } from './outcome.js';
import type { Clock } from './time/clock.js';

/** The rest of the pipeline, down to the user's function. May be called again, with a context made by `derive`. */
export type Next<C extends Context, R> = (ctx: C) => Promise<R>;

/** Never there at run time: it says what a policy needs where TypeScript would not look into `run`. */
declare const NEEDS: unique symbol;

/**
 * A middleware: any object with a `name` and a `run`. `in Need` is what makes TypeScript refuse a policy that needs a
 * custom context in a pipeline that has none.
 */
export interface Policy<in Need extends Context = Context> {
  readonly [NEEDS]?: ((need: Need) => void) | undefined;
  readonly name: string;
  /** The clock it uses, if it has one: all policies of a pipeline must share it. */
  readonly clock?: Clock | undefined;
  /** A property, because methods are compared loosely: a class with other needs would slip through. */
  readonly run: <C extends Need, R>(ctx: C, next: Next<C, R>) => Promise<R>;
}

/** Judges an outcome in place of `defaultClassify`. */
export type Classify = (outcome: Outcome, ctx: Context) => Verdict;

/** What {@link Gate.release} may be told besides the verdict. */
export interface ReleaseDetails {
  /**
   * The function was called: what was sent is used, and no quota is refunded. For gates asked by hand; in a pipeline
   * the context knows. @default false
   */
  readonly sent?: boolean | undefined;
  /**
   * With `holds`: the work had not ended `abandonedMs` after the answer, and the permit is written off. @default false
   */
  readonly abandoned?: boolean | undefined;
}

/** What holds a permit: a gate, or a balancer's instance for one call. */
export type PermitHolder = Pick<Gate, 'classify' | 'answered' | 'release'>;

/** The permits of a gate that counts work: made by `workPermits`. */
export interface WorkPermits {
  /** How long after the answer a permit is kept for work that does not end, ms. */
  readonly abandonedMs: number;
  /**
   * Releases a permit of a call that was answered: now, or when the functions and bodies under `ctx` have ended,
   * besides so many bodies that no code reads.
   */
  release(holder: PermitHolder, verdict: Verdict, elapsedMs: number, ctx: Context, besides: number): void;
}

/** A policy that only admits or refuses, without waiting; adjacent gates of a pipeline run as one step. */
export interface Gate<in Need extends Context = Context> extends Policy<Need> {
  /** Why the latest refusal happened. */
  readonly reason: Reason;
  /** Judges the calls that this gate admitted; read when the pipeline is made. @default defaultClassify */
  readonly classify?: Classify | undefined;
  /** `false` saves a clock read where no gate of the step looks at `elapsedMs`, which then is 0. @default true */
  readonly usesElapsed?: boolean | undefined;
  /** Whether the errors of its refusals carry a stack trace. @default false */
  readonly captureStack?: boolean | undefined;
  /**
   * By `workPermits()`: the gate counts work that goes on at the same time, and its permit is kept until that has
   * ended. Read when the pipeline is made. @default none: `release` comes with the answer
   */
  readonly holds?: WorkPermits | undefined;
  /** Takes a permit or refuses, at `ctx.startedAt`, else at the clock's now. */
  tryAcquire(ctx?: Partial<Need>): boolean;
  /**
   * With `holds`: the call was answered and its work goes on. Counts the outcome; `release` follows when the work has
   * ended, and must not count it again. Not called for a call that its caller gave up: that one counts when it ends.
   */
  answered?(verdict: Verdict, elapsedMs: number, ctx?: Partial<Need>): void;
  /** Releases the permit: once for each `true` of `tryAcquire`, with the same `ctx`. Never throws. */
  release(verdict: Verdict, elapsedMs: number, ctx?: Partial<Need>, details?: ReleaseDetails): void;
  /** How long to wait after a refusal, ms; exact where the gate can know; 0 = now, or no advice. */
  retryAfterMs(ctx?: Partial<Need>): number;
}

/** `enforce` refuses; `shadow` decides, counts and reports, but refuses nothing; `off` does nothing. */
export type Mode = 'enforce' | 'shadow' | 'off';

/** Options of every policy. */
export interface CommonOptions {
  /** Name in refusals, events and `describe()`. @default the factory's name */
  name?: string | undefined;
  /** @default systemClock */
  clock?: Clock | undefined;
  /** @default Math.random */
  random?: Random | undefined;
  /** Told of refusals and changes of state, in plain data. */
  observer?: Observer | undefined;
  /** What an outcome says about the downstream. @default defaultClassify */
  classify?: Classify | undefined;
}

/** Options of every gate. */
export interface GateOptions extends CommonOptions {
  /** @default 'enforce' */
  mode?: Mode | undefined;
  /** Whether the errors of refusals carry a stack trace; costs 2 µs per refusal. @default false */
  captureStack?: boolean | undefined;
}
