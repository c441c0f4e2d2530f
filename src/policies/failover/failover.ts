/**
 * Two sites for one call: local first, remote once when local refuses, fails or times out, as far as a retry budget
 * allows. When a call has timed out at both, all calls are refused for a while (frozen).
 * Source: the failover rules of QQ Music's high-availability article.
 */

import { abortableOf, CallContext, type Context, derive, type Init } from '../../core/call/context.js';
import { callFunction } from '../../core/call/function.js';
import { rejectSoon } from '../../core/call/promises.js';
import { isRejected, type Reason, RejectedError } from '../../core/errors.js';
import { notify, type Observer } from '../../core/events.js';
import { readCommon } from '../../core/options/common.js';
import { invalid, OptionReader } from '../../core/options/validate.js';
import type { Result } from '../../core/pipeline/pipeline.js';
import type { Classify, CommonOptions, Outcome, Verdict } from '../../core/policy.js';
import type { Clock } from '../../core/time/clock.js';
import { judge } from '../../core/verdict.js';
import { type RetryBudget, readBudget } from '../retry-budget/budget.js';
import { retryWindow } from '../retry-budget/retry-window.js';
import { Freeze, type FreezeSettings } from './freeze.js';

/** What calls one site. With a pipeline of its own: `(ctx) => guard.execute(fn, ctx)`. */
export type Site<C extends Context, R> = (ctx: C) => R | PromiseLike<R>;

/** Options of {@link failover}. */
export interface FailoverOptions<C extends Context, R> extends CommonOptions {
  /** Calls the near site. */
  local: Site<C, R>;
  /** Calls the far one; `ctx.attempt` is one higher. */
  remote: Site<C, R>;
  /**
   * The budget that has to allow each call to remote; several must all have room. `[]` = no limit.
   * @default retryWindow()
   */
  budget?: RetryBudget | readonly RetryBudget[] | undefined;
  /** The name of `budget` in 0.1.0; not together with it. @default none */
  window?: RetryBudget | readonly RetryBudget[] | undefined;
  /** How long all calls are refused once a call has timed out at both sites, ms, ≥ 0; 0 = never. @default 5_000 */
  freezeMs?: number | undefined;
  /** How many calls in a row must have timed out at both sites for that; a whole number ≥ 1. @default 1 */
  freezeAfter?: number | undefined;
  /**
   * Whether to call remote, given what local gave (an error or a value) and local's context. Not asked after the
   * caller's abort.
   * @default what classify takes for no success, and refusals
   */
  failoverOn?: ((outcome: Outcome, ctx: C) => boolean) | undefined;
}

/** What {@link Failover.update} can change. */
export type FailoverUpdate = Pick<FailoverOptions<Context, unknown>, 'freezeMs' | 'freezeAfter'>;

/** Plain data on a failover. */
export interface FailoverSnapshot {
  /** How much longer calls are refused, ms; 0 = not frozen. */
  frozenMs: number;
  /** Calls that went to local. */
  calls: number;
  /** Those of them that went on to remote. */
  failovers: number;
  /** Calls that should have, but the budget did not allow it. */
  refused: number;
}

/** `init` has to be given where the context has fields of its own. */
type InitArgument<C extends Context> = Record<never, never> extends Init<C> ? [init?: Init<C>] : [init: Init<C>];

/** A {@link failover}. */
export interface Failover<C extends Context, R> {
  /**
   * Calls local and perhaps remote. Rejects with a {@link RejectedError} of reason `no_instance` while frozen, of
   * reason `deadline_exceeded` when there is no time for either, with `signal.reason` when the caller aborts, else as
   * the sites did.
   */
  execute(...init: InitArgument<C>): Promise<R>;
  /** Like `execute`, but a refusal is a value, also one by a policy around a site. */
  tryExecute(...init: InitArgument<C>): Promise<Result<R>>;
  /** Changes settings at once; all or nothing. A freeze that has begun lasts no longer than the new `freezeMs`. */
  update(options: FailoverUpdate): void;
  snapshot(): FailoverSnapshot;
}

const readFreeze = (read: OptionReader): FreezeSettings => ({
  freezeMs: read.number('freezeMs', 5_000, { min: 0 }),
  freezeAfter: read.number('freezeAfter', 1, { min: 1, integer: true }),
});

function readSite<C extends Context, R>(read: OptionReader, option: string): Site<C, R> {
  return read.fn(option) ?? invalid(read.owner, option, 'a function', undefined, true);
}

/** How a site's call ended, and what that says about the site. */
interface AttemptResult<R> {
  outcome: { ok: true; value: R } | { ok: false; error: unknown };
  verdict: Verdict;
}

class TwoSites<C extends Context, R> implements Failover<C, R> {
  readonly #name: string;
  readonly #clock: Clock;
  readonly #observer: Observer | undefined;
  readonly #classify: Classify | undefined;
  readonly #local: Site<C, R>;
  readonly #remote: Site<C, R>;
  readonly #budget: RetryBudget;
  readonly #failoverOn: ((outcome: Outcome, ctx: C) => boolean) | undefined;
  readonly #counts = { calls: 0, failovers: 0, refused: 0 };
  readonly #freeze: Freeze;

  constructor(options: FailoverOptions<C, R>) {
    const read = new OptionReader('failover', options);
    const common = readCommon(read, 'failover');
    this.#name = common.name;
    this.#clock = common.clock;
    this.#observer = common.observer;
    this.#classify = common.classify;
    this.#local = readSite(read, 'local');
    this.#remote = readSite(read, 'remote');
    this.#budget = readBudget(read, retryWindow({ clock: this.#clock }), this.#clock, 'window');
    this.#freeze = new Freeze(readFreeze(read));
    this.#failoverOn = read.fn('failoverOn');
    read.done();
  }

  execute(init?: object): Promise<R> {
    try {
      const call = { site: this.#local };
      const ctx = CallContext.begin(this.#clock, (given: never) => call.site(given), init);
      const { startedAt, deadline } = ctx;
      const frozenMs = this.#freeze.leftMs(startedAt);
      if (frozenMs > 0) return this.#refuse('no_instance', startedAt, frozenMs);
      if (startedAt >= deadline) return this.#refuse('deadline_exceeded', startedAt, 0);
      return this.#serve(ctx as Context as C, call);
    } catch (error) {
      return rejectSoon(error);
    }
  }

  tryExecute(init?: object): Promise<Result<R>> {
    return this.execute(init).then(
      (value) => ({ ok: true, value }),
      (error: unknown) => {
        if (!isRejected(error)) throw error;
        const { policy, reason, retryAfterMs } = error;
        return { ok: false, rejection: { policy, reason, retryAfterMs } };
      },
    );
  }

  /** `call.site` is what a function call under the call's context calls: local, then remote. */
  async #serve(ctx: C, call: { site: Site<C, R> }): Promise<R> {
    this.#budget.onRequest(ctx.startedAt);
    this.#counts.calls++;
    const local = await this.#call(ctx);
    if (local.verdict !== 'ignored') this.#budget.onFirstDone?.(local.verdict === 'success');
    const allowedAt = this.#shouldFailOver(local, ctx) ? this.#askForRemote(ctx) : undefined;
    if (allowedAt === undefined) {
      if (local.verdict === 'success') this.#freeze.reset();
      return settle(local, ctx);
    }
    call.site = this.#remote;
    const remote = await this.#callRemote(ctx, allowedAt);
    this.#learn(local, remote, ctx);
    // The answer of a site that was called says more than the refusal of one that was not.
    const localStands = !remote.outcome.ok && (local.outcome.ok || isRejected(remote.outcome.error));
    return settle(localStands ? local : remote, ctx);
  }

  async #call(ctx: C): Promise<AttemptResult<R>> {
    let outcome: AttemptResult<R>['outcome'];
    try {
      outcome = { ok: true, value: await callFunction<R>(ctx) };
    } catch (error) {
      outcome = { ok: false, error };
    }
    const verdict = judge(this.#classify, outcome.ok, outcome.ok ? outcome.value : outcome.error, ctx);
    return { outcome, verdict };
  }

  async #callRemote(ctx: C, allowedAt: number): Promise<AttemptResult<R>> {
    let good: boolean | undefined;
    try {
      const again = derive<Context>(ctx, { attempt: ctx.attempt + 1, startedAt: this.#clock.now() }) as C;
      const remote = await this.#call(again);
      if (remote.verdict !== 'ignored') good = remote.verdict === 'success';
      return remote;
    } finally {
      this.#budget.onRetryDone(good, allowedAt);
    }
  }

  #shouldFailOver({ outcome, verdict }: AttemptResult<R>, ctx: C): boolean {
    if (abortableOf(ctx)?.aborted) return false;
    if (this.#failoverOn !== undefined) return this.#failoverOn(outcome, ctx);
    return verdict === 'ignored' ? !outcome.ok && isRejected(outcome.error) : verdict !== 'success';
  }

  /** When it was allowed, clock ms; undefined = it was not. */
  #askForRemote(ctx: C): number | undefined {
    const at = this.#clock.now();
    // A broken clock must not start anything.
    if (!(at < ctx.deadline) || this.#freeze.leftMs(at) > 0) return undefined;
    if (!this.#budget.tryRetry(at)) {
      this.#counts.refused++;
      return undefined;
    }
    this.#counts.failovers++;
    if (this.#observer !== undefined) notify(this.#observer, { type: 'failover', policy: this.#name, at });
    return at;
  }

  #learn(local: AttemptResult<R>, remote: AttemptResult<R>, ctx: C): void {
    // A refusal or an abort says nothing.
    if (local.verdict === 'ignored' || remote.verdict === 'ignored') return;
    if (local.verdict !== 'dropped' || remote.verdict !== 'dropped') {
      this.#freeze.reset();
      return;
    }
    const at = this.#clock.now();
    if (!this.#freeze.timedOut(ctx.startedAt, at) || this.#observer === undefined) return;
    const { freezeMs } = this.#freeze.settings;
    notify(this.#observer, { type: 'failover_frozen', policy: this.#name, at, freezeMs });
  }

  #refuse(reason: Reason, at: number, retryAfterMs: number): Promise<never> {
    const rejection = { policy: this.#name, reason, retryAfterMs };
    if (this.#observer !== undefined) notify(this.#observer, { type: 'rejected', at, shadow: false, ...rejection });
    return rejectSoon(new RejectedError(rejection));
  }

  update(options: FailoverUpdate): void {
    const read = new OptionReader(`${this.#name}.update`, options, this.#freeze.settings);
    const freeze = readFreeze(read);
    read.done();
    this.#freeze.settings = freeze;
    // A freeze under way is shortened from now on, not from the next call on.
    this.#freeze.leftMs(this.#clock.now());
  }

  snapshot(): FailoverSnapshot {
    return { frozenMs: this.#freeze.leftMs(this.#clock.now()), ...this.#counts };
  }
}

/** As the site did, unless the caller has aborted meanwhile. */
function settle<R>({ outcome }: AttemptResult<R>, ctx: Context): R {
  const abortable = abortableOf(ctx);
  if (abortable?.aborted) throw abortable.reason;
  if (outcome.ok) return outcome.value;
  throw outcome.error;
}

/**
 * Calls `local`, and `remote` once where local refused, failed or timed out: while the budget allows it, before
 * `ctx.deadline`, and never after the caller's abort. If remote fails too, the caller gets remote's error, but what
 * local gave where remote refused, or where local has a value to give.
 *
 * Once a call has timed out at both sites, all calls are refused for `freezeMs`: the service, or the way to it, is so
 * overloaded that more calls do harm. The refusal's reason is `no_instance` and its `retryAfterMs` exact.
 *
 * `execute(init)` takes what a pipeline's does: `signal`, `deadline`, `key`, `tier`, and the own fields of a custom
 * context, which carry the call's arguments.
 *
 * @throws TypeError or RangeError for a bad option.
 */
export function failover<C extends Context = Context, R = unknown>(options: FailoverOptions<C, R>): Failover<C, R> {
  return new TwoSites<C, R>(options);
}
