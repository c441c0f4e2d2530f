import { hasMethods, invalid, type OptionReader, objectWith } from '../../core/options/validate.js';
import { type Clock, sameClock } from '../../core/time/clock.js';

/**
 * Says whether one more try may be sent. A budget is shared: one object can serve many policies and pipelines, and each
 * tells it of its own calls. Three methods are enough for one of your own; {@link RetryBudget.canRetry} is wanted where it
 * stands in a list.
 */
export interface RetryBudget {
  /** The clock it lives by, if it has one: the same as that of the policies that ask it. */
  readonly clock?: Clock | undefined;
  /** A call begins. Called once a call, before its first try. `now`, clock ms, spares it from reading the clock. */
  onRequest(now?: number): void;
  /** The first try of a call has ended; calls that tell nothing of the callee (a refusal of ours, an abort) say nothing. */
  onFirstDone?(ok: boolean): void;
  /** Whether `tryRetry` would give leave now. Takes nothing. */
  canRetry?(now?: number): boolean;
  /** Takes leave for one retry; `false` = none left. Each `true` is answered by one `onRetryDone`. */
  tryRetry(now?: number): boolean;
  /**
   * A retry that was allowed has ended.
   *
   * @param ok undefined = it was never sent, or tells nothing of the callee
   * @param allowedAt the `now` that `tryRetry` was given
   */
  onRetryDone(ok: boolean | undefined, allowedAt?: number): void;
}

/** Several budgets that must all have room. */
class AllBudgets implements RetryBudget {
  readonly #budgets: readonly RetryBudget[];

  constructor(budgets: readonly RetryBudget[]) {
    this.#budgets = budgets;
  }

  onRequest(now?: number): void {
    for (const budget of this.#budgets) budget.onRequest(now);
  }

  onFirstDone(ok: boolean): void {
    for (const budget of this.#budgets) budget.onFirstDone?.(ok);
  }

  canRetry(now?: number): boolean {
    return this.#budgets.every((budget) => budget.canRetry?.(now) ?? true);
  }

  /** All are asked before any is taken from. One may think otherwise then, or throw: the others are told. */
  tryRetry(now?: number): boolean {
    if (!this.canRetry(now)) return false;
    const budgets = this.#budgets;
    let taken = 0;
    try {
      while (budgets[taken]?.tryRetry(now)) taken++;
    } finally {
      if (taken < budgets.length) for (const budget of budgets.slice(0, taken)) budget.onRetryDone(undefined, now);
    }
    return taken === budgets.length;
  }

  onRetryDone(ok: boolean | undefined, allowedAt?: number): void {
    for (const budget of this.#budgets) budget.onRetryDone(ok, allowedAt);
  }
}

const METHODS = ['onRequest', 'tryRetry', 'onRetryDone'] as const;

/**
 * Reads an option that is a budget, or a list of them that must all have room.
 *
 * @throws TypeError for what is no budget, for one with another clock than `clock`, and for a list in which more than one
 * has no `canRetry`.
 */
export function readBudget(read: OptionReader, option: string, byDefault: RetryBudget, clock: Clock): RetryBudget {
  const given = read.whatever(option, byDefault);
  const budgets = (Array.isArray(given) ? Array.from(given) : [given]) as RetryBudget[];
  if (!budgets.every((budget) => hasMethods(budget, METHODS))) {
    invalid(read.owner, option, `${objectWith(METHODS)}, or an array of such`, given, true);
  }
  if (budgets.some((budget) => budget.clock !== undefined && !sameClock(budget.clock, clock))) {
    throw new TypeError(`${read.owner}: clock must be that of ${option}, got another one`);
  }
  if (budgets.length === 1) return budgets[0] as RetryBudget;
  const silent = budgets.filter((budget) => budget.canRetry === undefined);
  if (silent.length > 1) {
    throw new TypeError(
      `${read.owner}: of the budgets in ${option} all but one must have canRetry, got ${silent.length} without`,
    );
  }
  // It is asked first, since what it says is not known beforehand.
  return new AllBudgets([...silent, ...budgets.filter((budget) => budget.canRetry !== undefined)]);
}
