import { AbortScope } from '../../../core/call/abort.js';
import { abortableOf, type Context, derive, deriveAbortable } from '../../../core/call/context.js';
import { isRejected, TimeoutError } from '../../../core/errors.js';
import type { Next, Policy } from '../../../core/policy.js';
import type { Timeline } from './timeline.js';

/** What a naive client does: a fixed time limit for each try, and retries without a budget. */
export interface NaiveOptions {
  readonly timeoutMs: number;
  readonly retries: number;
  /** How long to wait before the next try, ms. What it throws is the call's error. */
  readonly retryDelayMs: (ctx: Context) => number;
  /** Whether there are policies inside: they see a failed try only when promises have run. */
  readonly isGuarded: boolean;
}

/** Stands around the client's own pipeline, whose refusals it does not retry. */
export function naiveClient(options: NaiveOptions, timeline: Timeline): Policy {
  // Each time-out inherits everything except its identity, as policies may write to an error: a stack trace a time-out
  // would take a tenth of an overload's simulation, and show only the simulator.
  const timeout = new TimeoutError('client', options.timeoutMs);
  return {
    name: 'client',
    clock: timeline.clock,
    run: <C extends Context, R>(ctx: C, next: Next<C, R>): Promise<R> =>
      new Promise<R>((resolve, reject) => {
        new NaiveCall(options, timeline, timeout, ctx, next, resolve, reject).try(0);
      }),
  };
}

/** One call by callbacks: an async function with its promises would take a third of an overload's simulation. */
class NaiveCall<C extends Context, R> {
  readonly #options: NaiveOptions;
  readonly #timeline: Timeline;
  readonly #timeout: TimeoutError;
  readonly #ctx: C;
  readonly #next: Next<C, R>;
  readonly #resolve: (value: R) => void;
  readonly #reject: (error: unknown) => void;

  constructor(
    options: NaiveOptions,
    timeline: Timeline,
    timeout: TimeoutError,
    ctx: C,
    next: Next<C, R>,
    resolve: (value: R) => void,
    reject: (error: unknown) => void,
  ) {
    this.#options = options;
    this.#timeline = timeline;
    this.#timeout = timeout;
    this.#ctx = ctx;
    this.#next = next;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  try(attempt: number): void {
    const ctx = this.#ctx;
    const startedAt = attempt === 0 ? ctx.startedAt : ctx.clock.now();
    if (this.#options.timeoutMs < Infinity) {
      this.#tryInTime(attempt, startedAt);
    } else {
      const tried = attempt === 0 ? ctx : derive(ctx, { attempt, startedAt } as Partial<C>);
      this.#next(tried).then(this.#resolve, (error: unknown) => this.#failed(attempt, error));
    }
  }

  #tryInTime(attempt: number, startedAt: number): void {
    const { timeoutMs } = this.#options;
    const ctx = this.#ctx;
    const timeline = this.#timeline;
    const outer = abortableOf(ctx);
    const scope = new AbortScope();
    const deadline = Math.min(ctx.deadline, startedAt + timeoutMs);
    const changes = attempt === 0 ? { deadline } : { attempt, startedAt, deadline };
    const tried = derive(deriveAbortable(ctx, scope), changes as Partial<C>);
    let ended = false;
    /** True for the first of answer, time-out and abort. */
    const end = (): boolean => {
      if (ended) return false;
      ended = true;
      timeline.clear(timer);
      outer?.remove(onOuterAbort);
      return true;
    };
    const giveUp = (error: unknown): void => {
      end();
      scope.abort(error);
      this.#failed(attempt, error);
    };
    const onOuterAbort = (): void => giveUp(outer?.reason);
    const timer = timeline.at(timeline.now() + timeoutMs, () => {
      if (this.#options.isGuarded || attempt === this.#options.retries) timeline.wake();
      giveUp(Object.create(this.#timeout));
    });
    outer?.add(onOuterAbort);
    this.#next(tried).then(
      (value) => {
        if (end()) this.#resolve(value);
      },
      (error: unknown) => {
        if (end()) this.#failed(attempt, error);
      },
    );
  }

  #failed(attempt: number, error: unknown): void {
    const abortable = abortableOf(this.#ctx);
    if (attempt === this.#options.retries || isRejected(error) || abortable?.aborted) {
      this.#reject(error);
      return;
    }
    const again = (): void => {
      if (abortable?.aborted) this.#reject(abortable.reason);
      else this.try(attempt + 1);
    };
    let delayMs: number;
    try {
      delayMs = this.#options.retryDelayMs(this.#ctx);
    } catch (mistake) {
      this.#reject(mistake);
      return;
    }
    // A timer also where there is no delay: the policies inside have settled the failed try before the next begins.
    if (this.#options.isGuarded) this.#ctx.clock.setTimer(again, delayMs);
    else if (delayMs > 0) this.#timeline.at(this.#timeline.now() + delayMs, again);
    else again();
  }
}
