import { type Abortable, AbortScope } from '../../core/call/abort.js';
import { type Context, derive, deriveAbortable } from '../../core/call/context.js';
import { callNext } from '../../core/call/promises.js';
import { isRejected } from '../../core/errors.js';
import type { Next, Verdict } from '../../core/policy.js';
import type { TimerHandle } from '../../core/time/clock.js';
import { timerAt } from '../../core/time/timers.js';

interface End {
  ok: boolean;
  result: unknown;
}

interface Attempt {
  readonly ctx: Context;
  readonly scope: AbortScope;
  end?: End;
}

/** What a call asks and tells the policy whose it is. */
export interface Hedging {
  /** Returns how long to wait for the first attempt, ms. */
  begin(now: number): number;
  mayHedge(at: number, afterMs: number): boolean;
  judge(ok: boolean, result: unknown, ctx: Context): Verdict;
  firstEnded(verdict: Verdict, ctx: Context): void;
  /** The first attempt was aborted, or left behind. */
  firstGivenUp(ctx: Context): void;
  /** Once for each `true` of `mayHedge`; undefined = it was aborted, or never started. */
  hedgeEnded(verdict: Verdict | undefined, isAnswer: boolean): void;
}

/** One call: the first answer of its attempts, or the caller's abort, is its end. */
export class HedgedCall<C extends Context, R> {
  readonly #owner: Hedging;
  readonly #ctx: C;
  readonly #next: Next<C, R>;
  readonly #resolve: (value: R) => void;
  readonly #reject: (error: unknown) => void;
  readonly #first: Attempt;
  #second: Attempt | undefined;
  #outer: Abortable | undefined;
  #timer: TimerHandle;
  #pending = true;

  constructor(owner: Hedging, ctx: C, next: Next<C, R>, resolve: (value: R) => void, reject: (error: unknown) => void) {
    this.#owner = owner;
    this.#ctx = ctx;
    this.#next = next;
    this.#resolve = resolve;
    this.#reject = reject;
    this.#first = attemptOf(ctx);
  }

  start(outer: Abortable | undefined): void {
    const { clock, startedAt, deadline } = this.#ctx;
    const afterMs = this.#owner.begin(startedAt);
    // The budget may have aborted it.
    if (outer?.aborted) {
      this.#reject(outer.reason);
      return;
    }
    const dueMs = startedAt + afterMs;
    if (dueMs < deadline) {
      // Not by the timer itself: all share one of the host, in whose async context another call's store would be seen.
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
      const second = attemptOf(derive(this.#ctx, { attempt: attempt + 1, startedAt }));
      if (!this.#owner.mayHedge(startedAt, afterMs)) return;
      // The budget or the observer may have aborted the call.
      if (this.#pending) this.#second = second;
      else this.#owner.hedgeEnded(undefined, false);
    } catch (error) {
      this.#stop(error);
    }
    if (this.#second !== undefined) this.#run(this.#second);
  }

  #run(attempt: Attempt): void {
    callNext(attempt.ctx as C, this.#next).then(
      (value) => this.#ended(attempt, true, value),
      (error: unknown) => this.#ended(attempt, false, error),
    );
  }

  #ended(attempt: Attempt, ok: boolean, result: unknown): void {
    if (!this.#pending) return;
    const isFirst = attempt === this.#first;
    const other = isFirst ? this.#second : this.#first;
    try {
      const verdict = this.#owner.judge(ok, result, attempt.ctx);
      attempt.end = { ok, result };
      const isAnswer = verdict === 'success' || (ok && verdict === 'ignored');
      if (isFirst) this.#owner.firstEnded(verdict, attempt.ctx);
      else this.#owner.hedgeEnded(verdict, isAnswer);
      if (isAnswer) this.#settle(attempt.end);
      else if (other === undefined || other.end !== undefined) this.#settle(this.#failure());
    } catch (error) {
      this.#stop(error);
    }
  }

  /** As the first ended, unless it was refused and the second was not: a refusal says that nothing was sent. */
  #failure(): End {
    const first = this.#first.end as End;
    const second = this.#second?.end;
    return second !== undefined && isRejected(first.result) && !isRejected(second.result) ? second : first;
  }

  readonly #giveUp = (): void => this.#stop((this.#outer as Abortable).reason);

  #stop(reason: unknown): void {
    this.#settle({ ok: false, result: reason }, { reason });
  }

  /** Ends the call, and aborts the attempts that are still under way. */
  #settle(end: End, abort?: { reason: unknown }): void {
    if (!this.#pending) return;
    this.#pending = false;
    const first = this.#first;
    const second = this.#second;
    this.#ctx.clock.clearTimer(this.#timer);
    this.#outer?.remove(this.#giveUp);
    let { ok, result } = end;
    try {
      if (first.end === undefined) this.#owner.firstGivenUp(first.ctx);
      if (second !== undefined && second.end === undefined) this.#owner.hedgeEnded(undefined, false);
    } catch (error) {
      ok = false;
      result = error;
    }
    if (ok) this.#resolve(result as R);
    else this.#reject(result);
    const loser = first.end === undefined ? first : second?.end === undefined ? second : undefined;
    if (loser === undefined) return;
    const { reason } = abort ?? {
      reason: new DOMException('another attempt of the call answered first', 'AbortError'),
    };
    loser.scope.abort(reason);
    // Both, if neither had ended.
    if (second?.end === undefined) second?.scope.abort(reason);
  }
}

function attemptOf<C extends Context>(ctx: C): Attempt {
  const scope = new AbortScope();
  // The call stops waiting by itself.
  scope.abandons = false;
  return { ctx: deriveAbortable(ctx, scope), scope };
}
