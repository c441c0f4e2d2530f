/** Permits of work that goes on after its call was answered. */
import { abortableOf, type Context, isWorking, onWorkEnd, type WorkListener } from '../call/context.js';
import { throwLater } from '../errors.js';
import { OptionReader } from '../options/validate.js';
import type { PermitHolder, Verdict, WorkPermits } from '../policy.js';
import type { Clock, TimerHandle } from '../time/clock.js';
import { judge } from '../verdict.js';

/** How a permit ends: with the work, of which `ok` and `result` are the latest outcome, or written off. */
type Release = (abandoned: boolean, ok: boolean, result: unknown) => void;

/** One permit, in order of the time at which it is written off. */
class Held implements WorkListener {
  older: Held | undefined;
  newer: Held | undefined;

  constructor(
    readonly owner: HeldPermits,
    readonly release: Release,
    readonly dueMs: number,
  ) {}

  workEnded(ok: boolean, result: unknown): void {
    this.owner.end(this, false, ok, result);
  }
}

/** The oldest first. One timer for all of them writes off what does not end; it does not keep the process alive. */
class HeldPermits implements WorkPermits {
  readonly abandonedMs: number;
  #oldest: Held | undefined;
  #newest: Held | undefined;
  #clock: Clock | undefined;
  #timer: TimerHandle;
  #waits = false;

  constructor(abandonedMs: number) {
    this.abandonedMs = abandonedMs;
  }

  release(holder: PermitHolder, verdict: Verdict, elapsedMs: number, ctx: Context, besides: number): void {
    if (!(this.abandonedMs > 0) || !isWorking(ctx, besides)) {
      holder.release(verdict, elapsedMs, ctx);
      return;
    }
    // Only a call that its caller gave up counts by how its work ends.
    const gaveUp = verdict === 'ignored' && abortableOf(ctx)?.aborted === true;
    try {
      if (!gaveUp) holder.answered?.(verdict, elapsedMs, ctx);
    } finally {
      this.#hold(ctx, (abandoned, ok, result) => {
        if (abandoned) holder.release('ignored', elapsedMs, ctx, { abandoned });
        else if (!gaveUp) holder.release(verdict, elapsedMs, ctx);
        else releaseAsEnded(holder, ok, result, ctx);
      });
    }
  }

  #hold(ctx: Context, release: Release): void {
    const { clock } = ctx;
    const held = new Held(this, release, clock.now() + this.abandonedMs);
    this.#clock = clock;
    held.older = this.#newest;
    if (this.#newest === undefined) this.#oldest = held;
    else this.#newest.newer = held;
    this.#newest = held;
    onWorkEnd(ctx, held);
    this.#wait(clock);
  }

  #wait(clock: Clock): void {
    if (this.#waits || this.#oldest === undefined || this.abandonedMs === Infinity) return;
    this.#waits = true;
    const leftMs = this.#oldest.dueMs - clock.now();
    this.#timer = clock.setTimer(() => this.#writeOff(clock), Math.max(0, leftMs) || 0, { keepAlive: false });
  }

  #writeOff(clock: Clock): void {
    this.#waits = false;
    const now = clock.now();
    // What a broken clock gave no time is written off as well: waiting for it would never end.
    for (let held = this.#oldest; held !== undefined && !(held.dueMs > now); held = this.#oldest) {
      this.end(held, true, false, undefined);
    }
    this.#wait(clock);
  }

  end(held: Held, abandoned: boolean, ok: boolean, result: unknown): void {
    const { older, newer } = held;
    // Written off already: the work has ended late.
    if (older === undefined && this.#oldest !== held) return;
    if (older === undefined) this.#oldest = newer;
    else older.newer = newer;
    if (newer === undefined) this.#newest = older;
    else newer.older = older;
    held.older = held.newer = undefined;
    if (this.#oldest === undefined && this.#waits) {
      this.#waits = false;
      this.#clock?.clearTimer(this.#timer);
    }
    try {
      held.release(abandoned, ok, result);
    } catch (error) {
      // It comes from a timer, or from the end of another promise.
      throwLater(error);
    }
  }
}

/**
 * Of a call that its caller gave up. What `classify` throws reaches the host, and the permit is released all the same.
 */
function releaseAsEnded(holder: PermitHolder, ok: boolean, result: unknown, ctx: Context): void {
  // An error after an abort is most likely the abort's.
  let verdict: Verdict = ok ? 'success' : 'ignored';
  try {
    if (ok) verdict = judge(holder.classify, true, result, ctx);
  } finally {
    holder.release(verdict, Math.max(0, ctx.clock.now() - ctx.startedAt), ctx);
  }
}

/** Options of {@link workPermits}. */
export interface WorkPermitsOptions {
  /**
   * How long after the answer a permit is kept for work that does not end, ms, ≥ 0; `Infinity` = for ever, 0 = not at
   * all.
   * @default 30_000
   */
  abandonedMs?: number | undefined;
}

/**
 * For the `holds` of a gate that counts work at the same time: its permit is kept until every function called under the
 * admission has settled, however early the caller was answered. Each gate needs its own.
 *
 * @example
 * const gate: Gate = { name: 'maxAtWork', holds: workPermits({ abandonedMs: 10_000 }), … };
 * @throws TypeError or RangeError for a bad option.
 */
export function workPermits(options?: WorkPermitsOptions): WorkPermits {
  const read = new OptionReader('workPermits', options);
  const permits = permitsFrom(read);
  read.done();
  return permits;
}

/** Reads `abandonedMs` among the options of a policy. */
export const permitsFrom = (read: OptionReader): WorkPermits =>
  new HeldPermits(read.number('abandonedMs', 30_000, { min: 0, infinite: true }));
