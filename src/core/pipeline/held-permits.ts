import {
  abortableOf,
  type Body,
  type Context,
  isWorking,
  onWorkEnd,
  openBodyOf,
  type WorkListener,
} from '../call/context.js';
import { throwLater } from '../errors.js';
import type { Gate, Verdict } from '../policy.js';
import type { Clock, TimerHandle } from '../time/clock.js';
import { judge } from '../verdict.js';

/** How a permit ends: with the work, of which `ok` and `result` are the latest outcome, or written off. */
export type Release = (abandoned: boolean, ok: boolean, result: unknown) => void;

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

/** A permit is kept for so long when nothing else is said, ms. */
export const ABANDONED_MS = 30_000;

/**
 * The permits of work that goes on after its call was answered, the oldest first. One timer for all of them writes off what
 * does not end; it does not keep the process alive.
 */
export class HeldPermits {
  readonly #clock: Clock;
  readonly #abandonedMs: number;
  #oldest: Held | undefined;
  #newest: Held | undefined;
  #timer: TimerHandle;
  #waits = false;

  constructor(clock: Clock, abandonedMs: number) {
    this.#clock = clock;
    this.#abandonedMs = abandonedMs;
  }

  /** Keeps a permit of `ctx`, under which work goes on. */
  hold(ctx: Context, release: Release): void {
    const held = new Held(this, release, this.#clock.now() + this.#abandonedMs);
    held.older = this.#newest;
    if (this.#newest === undefined) this.#oldest = held;
    else this.#newest.newer = held;
    this.#newest = held;
    onWorkEnd(ctx, held);
    this.#wait();
  }

  #wait(): void {
    if (this.#waits || this.#oldest === undefined || this.#abandonedMs === Infinity) return;
    this.#waits = true;
    const leftMs = Math.max(0, this.#oldest.dueMs - this.#clock.now());
    this.#timer = this.#clock.setTimer(() => this.#writeOff(), leftMs, { keepAlive: false });
  }

  #writeOff(): void {
    this.#waits = false;
    const now = this.#clock.now();
    for (let held = this.#oldest; held !== undefined && held.dueMs <= now; held = this.#oldest) {
      this.end(held, true, false, undefined);
    }
    this.#wait();
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
      this.#clock.clearTimer(this.#timer);
    }
    try {
      held.release(abandoned, ok, result);
    } catch (error) {
      // It comes from a timer, or from the end of another promise.
      throwLater(error);
    }
  }
}

/** What holds a permit: a gate, or a balancer's instance for one call. */
export type Holder = Pick<Gate, 'holds' | 'abandonedMs' | 'classify' | 'answered' | 'release'>;

/**
 * Releases a permit of a call that is answered, while work under `ctx` goes on: at once where the holder does not count
 * work, else when that has ended. A success whose body is open is judged by the end of the body.
 *
 * @param ok whether the answer is a value
 * @param held where the permits are kept of which work goes on
 */
export function releaseInTime(
  holder: Holder,
  verdict: Verdict,
  spentMs: number,
  ctx: Context,
  ok: boolean,
  held: () => HeldPermits,
): void {
  const body = ok ? openBodyOf(ctx) : undefined;
  if (body !== undefined && verdict === 'success') {
    whenBodyEnds(body, ctx, (end, ms) => releaseAfterWork(holder, end, ms, ctx, 0, held));
  } else {
    // The body of an answer that is a failure is not read: only functions are work then.
    releaseAfterWork(holder, verdict, spentMs, ctx, body?.pending ?? 0, held);
  }
}

/** The verdict is that on the body: a promise that rejects is `dropped`, a caller who gives up `ignored`. */
function whenBodyEnds(body: Body, ctx: Context, release: (verdict: Verdict, spentMs: number) => void): void {
  const abortable = abortableOf(ctx);
  let open = true;
  const end = (verdict: Verdict): void => {
    if (!open) return;
    open = false;
    abortable?.remove(giveUp);
    try {
      release(verdict, elapsedOf(ctx));
    } catch (error) {
      throwLater(error);
    }
  };
  const giveUp = (): void => end('ignored');
  abortable?.add(giveUp);
  body.listeners.push(() => end(body.failed ? 'dropped' : 'success'));
}

const elapsedOf = ({ clock, startedAt }: Context): number => Math.max(0, clock.now() - startedAt);

function releaseAfterWork(
  holder: Holder,
  verdict: Verdict,
  spentMs: number,
  ctx: Context,
  besides: number,
  held: () => HeldPermits,
): void {
  const { abandonedMs = ABANDONED_MS } = holder;
  if (holder.holds !== 'work' || !(abandonedMs > 0) || !isWorking(ctx, besides)) {
    holder.release(verdict, spentMs, ctx);
    return;
  }
  // Only a call that its caller gave up counts by how its work ends.
  const gaveUp = verdict === 'ignored' && abortableOf(ctx)?.aborted === true;
  if (!gaveUp) holder.answered?.(verdict, spentMs, ctx);
  held().hold(ctx, (abandoned, ok, result) => {
    if (abandoned) holder.release('ignored', spentMs, ctx, { abandoned });
    else if (!gaveUp) holder.release(verdict, spentMs, ctx);
    else releaseAsEnded(holder, ok, result, ctx);
  });
}

/** A call that its caller gave up. What `classify` throws reaches the host, and the permit is released all the same. */
function releaseAsEnded(holder: Holder, ok: boolean, result: unknown, ctx: Context): void {
  // An error after an abort is most likely the abort's.
  let verdict: Verdict = ok ? 'success' : 'ignored';
  try {
    if (ok) verdict = judge(holder.classify, true, result, ctx);
  } finally {
    holder.release(verdict, elapsedOf(ctx), ctx);
  }
}
