import { type Abortable, AbortScope } from '../../core/call/abort.js';
import { type Context, derive, deriveAbortable, openBodyOf } from '../../core/call/context.js';
import { followAbort } from '../../core/call/follow.js';
import { afterMicrotasks, callNext } from '../../core/call/promises.js';
import { isRejected } from '../../core/errors.js';
import type { Next, Verdict } from '../../core/policy.js';
import type { TimerHandle } from '../../core/time/clock.js';
import { timerAt } from '../../core/time/timers.js';

/** What a call asks and tells its policy. */
export interface Hedging {
  /** Returns how long to wait for the first attempt, ms. */
  begin(now: number): number;
  mayHedge(at: number, afterMs: number): boolean;
  judge(ok: boolean, result: unknown, ctx: Context): Verdict;
  firstEnded(verdict: Verdict, ctx: Context): void;
  /** The first attempt was aborted before it had ended. */
  firstGivenUp(ctx: Context): void;
  /** Once for each `true` of `mayHedge`; undefined = it was aborted, or never started. */
  hedgeEnded(verdict: Verdict | undefined, isAnswer: boolean, ctx: Context): void;
  /** The call has ended, with all its attempts. */
  ended(ctx: Context): void;
}

/**
 * How many microtasks an aborted attempt has to settle before the caller is told. The pipeline gives the function 32 of
 * them, the first policy around it 44, a step around that 56: what is inside is settled first. The pipeline itself
 * gives 68 to a hedge around a policy that never settles.
 */
const GRACE = 64;

interface AttemptResult {
  readonly ok: boolean;
  readonly value: unknown;
}

/**
 * One attempt. What an attempt that never settles keeps in memory is this object, which is emptied once the call is
 * over.
 */
class Attempt {
  call: HedgedCall | undefined;
  ctx: Context | undefined;
  scope: AbortScope | undefined = new AbortScope();
  ended = false;
  /** None for what ended when the outcome was known already. */
  result: AttemptResult | undefined;

  constructor(call: HedgedCall, ctx: Context) {
    this.call = call;
    this.ctx = deriveAbortable(ctx, this.scope as AbortScope);
    this.result = undefined;
  }

  settle(ok: boolean, value: unknown): void {
    this.ended = true;
    this.call?.attemptEnded(this, ok, value);
  }

  empty(): void {
    this.call = this.ctx = this.scope = this.result = undefined;
  }
}

/** One call: the first answer of its attempts, or the caller's abort, is its end. */
export class HedgedCall {
  readonly #owner: Hedging;
  readonly #ctx: Context;
  readonly #next: Next<Context, unknown>;
  readonly #resolve: (value: unknown) => void;
  readonly #reject: (error: unknown) => void;
  readonly #first: Attempt;
  #second: Attempt | undefined;
  #outer: Abortable | undefined;
  #timer: TimerHandle;
  /** Whether the outcome is still open. */
  #pending = true;

  constructor(
    owner: Hedging,
    ctx: Context,
    next: Next<Context, unknown>,
    resolve: (value: unknown) => void,
    reject: (error: unknown) => void,
  ) {
    this.#owner = owner;
    this.#ctx = ctx;
    this.#next = next;
    this.#resolve = resolve;
    this.#reject = reject;
    this.#first = new Attempt(this, ctx);
  }

  start(outer: Abortable | undefined): void {
    const { clock, startedAt, deadline } = this.#ctx;
    const afterMs = this.#owner.begin(startedAt);
    // The budget may have aborted it.
    if (outer?.aborted) {
      this.#owner.ended(this.#ctx);
      this.#reject(outer.reason);
      return;
    }
    const dueMs = startedAt + afterMs;
    if (dueMs < deadline) {
      // Not by the timer itself: all share one host timer, in whose async context another call's store would be seen.
      new Promise<void>((resolve) => {
        this.#timer = timerAt(clock, resolve, dueMs);
      }).then(() => this.#hedge(afterMs));
    }
    this.#outer = outer;
    outer?.add(this.#giveUp);
    this.#run(this.#first);
  }

  #hedge(afterMs: number): void {
    if (!this.#pending) return;
    try {
      const { clock, attempt, deadline } = this.#ctx;
      const startedAt = clock.now();
      // A timer may come late, and a broken clock must not start anything.
      if (!(startedAt < deadline)) return;
      const second = new Attempt(this, derive(this.#ctx, { attempt: attempt + 1, startedAt }));
      if (!this.#owner.mayHedge(startedAt, afterMs)) return;
      // The budget or the observer may have aborted the call.
      if (this.#pending) this.#second = second;
      else this.#owner.hedgeEnded(undefined, false, second.ctx as Context);
    } catch (error) {
      this.#stop(error);
    }
    if (this.#second !== undefined) this.#run(this.#second);
  }

  #run(attempt: Attempt): void {
    settleWith(attempt, callNext(attempt.ctx as Context, this.#next));
  }

  attemptEnded(attempt: Attempt, ok: boolean, value: unknown): void {
    if (!this.#pending) return;
    const isFirst = attempt === this.#first;
    const other = isFirst ? this.#second : this.#first;
    const ctx = attempt.ctx as Context;
    try {
      const verdict = this.#owner.judge(ok, value, ctx);
      attempt.result = { ok, value };
      const isAnswer = verdict === 'success' || (ok && verdict === 'ignored');
      if (isFirst) this.#owner.firstEnded(verdict, ctx);
      else this.#owner.hedgeEnded(verdict, isAnswer, ctx);
      if (isAnswer) this.#endAs(attempt);
      else if (other === undefined || other.result !== undefined) this.#endAs(this.#failed());
    } catch (error) {
      this.#stop(error);
    }
  }

  /** The first, unless it was refused and the second was not: a refusal says that nothing was sent. */
  #failed(): Attempt {
    const first = this.#first;
    const second = this.#second;
    if (second === undefined) return first;
    return isRejected(first.result?.value) && !isRejected(second.result?.value) ? second : first;
  }

  readonly #giveUp = (): void => this.#stop((this.#outer as Abortable).reason);

  #stop(reason: unknown): void {
    this.#end({ ok: false, value: reason }, undefined, () => reason);
  }

  #endAs(attempt: Attempt): void {
    this.#end(attempt.result as AttemptResult, attempt, answeredFirst);
  }

  /** Settles the outcome and aborts the attempts under way; the caller is told once they have settled. */
  #end(result: AttemptResult, decided: Attempt | undefined, reasonOf: () => unknown): void {
    if (!this.#pending) return;
    this.#pending = false;
    const outer = this.#outer;
    this.#ctx.clock.clearTimer(this.#timer);
    outer?.remove(this.#giveUp);
    if (decided !== undefined && outer !== undefined && result.ok) keepLinked(decided, outer, result.value);
    const underWay = [this.#first, this.#second].filter((attempt) => attempt?.ended === false) as Attempt[];
    if (underWay.length === 0) {
      this.#tell(result);
      return;
    }
    const reason = reasonOf();
    for (const { scope } of underWay) scope?.abort(reason);
    afterMicrotasks(
      GRACE,
      () => underWay.every(({ ended }) => ended),
      () => this.#tell(result),
    );
  }

  #tell({ ok, value }: AttemptResult): void {
    const first = this.#first;
    const second = this.#second;
    try {
      if (first.result === undefined) this.#owner.firstGivenUp(first.ctx as Context);
      if (second !== undefined && second.result === undefined) {
        this.#owner.hedgeEnded(undefined, false, second.ctx as Context);
      }
      this.#owner.ended(this.#ctx);
      if (ok) this.#resolve(value);
      else this.#reject(value);
    } catch (error) {
      this.#reject(error);
    } finally {
      first.empty();
      second?.empty();
    }
  }
}

/**
 * Without a stack trace: V8's keeps `this` of its frames, and with it the call and its answer, for as long as an
 * attempt that hangs keeps the reason.
 */
function answeredFirst(): DOMException {
  const { stackTraceLimit } = Error as { stackTraceLimit?: number };
  // `Reflect.set` fails silently where a host has frozen its intrinsics.
  if (stackTraceLimit !== undefined) Reflect.set(Error, 'stackTraceLimit', 0);
  const reason = new DOMException('another attempt of the call answered first', 'AbortError');
  if (stackTraceLimit !== undefined) Reflect.set(Error, 'stackTraceLimit', stackTraceLimit);
  return reason;
}

/** What is read of an answer still aborts with the caller: a body for as long as it is open, else a signal weakly. */
function keepLinked({ ctx, scope }: Attempt, outer: Abortable, value: unknown): void {
  const body = openBodyOf(ctx as Context);
  if (body === undefined) {
    followAbort(outer, scope as AbortScope, value);
    return;
  }
  const abort = (): void => scope?.abort(outer.reason);
  outer.add(abort);
  body.add(() => {
    outer.remove(abort);
    followAbort(outer, scope as AbortScope, value);
  });
}

/** A separate function, so that the two closures hold only the attempt. */
function settleWith(attempt: Attempt, promise: Promise<unknown>): void {
  promise.then(
    (value) => attempt.settle(true, value),
    (error: unknown) => attempt.settle(false, error),
  );
}
