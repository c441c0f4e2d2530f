import { hasMethods, invalid, type OptionReader, objectWith } from '../../core/options/validate.js';
import { type Clock, sameClock } from '../../core/time/clock.js';

/**
 * Says whether one more retry may be sent. A budget may be shared: many policies and pipelines can ask one object, and
 * each reports its own calls to it. Three methods are enough for a custom budget; {@link RetryBudget.canRetry} is
 * needed where it stands in a list.
 */
export interface RetryBudget {
  /** The clock it uses, if it has one: the same as that of the policies that ask it. */
  readonly clock?: Clock | undefined;
  /** A call begins. Called once per call, before its first try. `now`, clock ms, saves it from reading the clock. */
  onRequest(now?: number): void;
  /**
   * A call that `onRequest` was told of at `at` was never sent: a gate inside refused it, or its caller gave up before.
   * It does not count.
   */
  onUnsent?(at?: number): void;
  /**
   * The first try of a call has ended. Not called where that says nothing about the downstream (a refusal, an abort).
   */
  onFirstDone?(ok: boolean): void;
  /** Whether `tryRetry` would allow a retry now. Takes nothing. */
  canRetry?(now?: number): boolean;
  /**
   * Takes one retry from the budget; `false` = the budget does not allow it. Each `true` is answered by one
   * `onRetryDone`.
   */
  tryRetry(now?: number): boolean;
  /**
   * A retry that was allowed has ended.
   *
   * @param ok undefined = it was never sent, or says nothing about the downstream
   * @param allowedAt the `now` that `tryRetry` was given
   * @param sent false = it was never sent, and does not count. @default true
   */
  onRetryDone(ok: boolean | undefined, allowedAt?: number, sent?: boolean): void;
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

  onUnsent(at?: number): void {
    for (const budget of this.#budgets) budget.onUnsent?.(at);
  }

  onFirstDone(ok: boolean): void {
    for (const budget of this.#budgets) budget.onFirstDone?.(ok);
  }

  canRetry(now?: number): boolean {
    return this.#budgets.every((budget) => budget.canRetry?.(now) ?? true);
  }

  /** Asks all before it takes from any. One may still refuse, or throw: those taken from before it are told. */
  tryRetry(now?: number): boolean {
    if (!this.canRetry(now)) return false;
    const budgets = this.#budgets;
    let taken = 0;
    try {
      while (budgets[taken]?.tryRetry(now)) taken++;
    } finally {
      if (taken < budgets.length)
        for (const budget of budgets.slice(0, taken)) budget.onRetryDone(undefined, now, false);
    }
    return taken === budgets.length;
  }

  onRetryDone(ok: boolean | undefined, allowedAt?: number, sent?: boolean): void {
    for (const budget of this.#budgets) budget.onRetryDone(ok, allowedAt, sent);
  }
}

const METHODS = ['onRequest', 'tryRetry', 'onRetryDone'] as const;

/**
 * Reads the option `budget`: one, or a list of them that must all have room. `alias` is an older name of the option.
 *
 * @throws TypeError for a value that is not a budget, for one with another clock than `clock`, for a list in which more
 * than one   has no `canRetry`, and where `budget` and `alias` are both given.
 */
export function readBudget(read: OptionReader, byDefault: RetryBudget, clock: Clock, alias?: string): RetryBudget {
  const older = alias === undefined ? undefined : read.whatever(alias);
  const current = read.whatever('budget');
  if (older !== undefined && current !== undefined) {
    throw new TypeError(`${read.owner}: budget and ${alias} are two names of one option, got both`);
  }
  const option = older === undefined ? 'budget' : (alias as string);
  const given = current !== undefined ? current : older !== undefined ? older : byDefault;
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
  // The one without is asked first: only `tryRetry` tells what it says, and that takes from it.
  return new AllBudgets([...silent, ...budgets.filter((budget) => budget.canRetry !== undefined)]);
}
