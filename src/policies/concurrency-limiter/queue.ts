/**
 * A short queue in front of a gate. Most calls that wait are admitted soon or never, so by Facebook's rule (Maurer,
 * "Fail at Scale", 2015, after CoDel, RFC 8289) a call may wait `maxWaitMs` if the queue was empty within the last
 * `maxWaitMs`. If it was not, the queue stands, and a call may wait only `targetWaitMs`.
 */

import type { Abortable } from '../../core/call/abort.js';
import { abortableOf, type Context, derivedAt } from '../../core/call/context.js';
import type { Complete } from '../../core/options/common.js';
import { OptionReader } from '../../core/options/validate.js';
import { type Clock, isSystemClock, mayKeepAlive, type TimerHandle } from '../../core/time/clock.js';
import { hostTimers, type TimerNode, timerAt } from '../../core/time/timers.js';

/** Options of a limiter's queue. */
export interface QueueOptions {
  /** How many calls may wait, whole, ≥ 1. */
  maxSize: number;
  /** How long a call may wait while the queue does not stand, ms; > 0, ≤ 2^31 − 1. */
  maxWaitMs: number;
  /** … and while it does, ms; > 0, ≤ maxWaitMs. @default maxWaitMs / 20 */
  targetWaitMs?: number | undefined;
  /** `adaptive-lifo` admits the newest first while the queue stands: its caller is the likeliest to be there still.
   * @default 'fifo' */
  order?: 'fifo' | 'adaptive-lifo' | undefined;
}

export function readQueueOptions(options: unknown): Complete<QueueOptions> {
  const read = new OptionReader('concurrencyLimiter.queue', options);
  const maxSize = read.number('maxSize', undefined, { min: 1, integer: true });
  const maxWaitMs = read.number('maxWaitMs', undefined, { above: 0, max: 2 ** 31 - 1 });
  const targetWaitMs = read.number('targetWaitMs', maxWaitMs / 20, { above: 0, max: maxWaitMs });
  const order = read.oneOf('order', 'fifo', ['fifo', 'adaptive-lifo']);
  read.done();
  return { maxSize, maxWaitMs, targetWaitMs, order };
}

/** What the queue stands before. */
export interface Entrance {
  /** Where there is room for one, there is for all of a lower rank. */
  hasRoom(ctx: Context, now: number): boolean;
  /** How early its turn is: 0, the first, to 3. */
  rankOf(ctx: Context): number;
  /** Takes a permit for `ctx`; false = there is no room after all. */
  enter(ctx: Context): boolean;
  /** Releases it. */
  exit(ctx: Context): void;
}

/** The calls of one rank that wait. */
class Line {
  oldest: Waiter | undefined;
  newest: Waiter | undefined;
}

/** One call that waits, in a doubly linked list: it may leave from the middle. It is its own timer. */
class Waiter implements TimerNode {
  place = 0;
  order = 0;
  dueMs = Infinity;
  older: Waiter | undefined = undefined;
  newer: Waiter | undefined = undefined;
  /** With a clock that is not the system's. */
  timer: TimerHandle = undefined;
  /** Takes the abort's listener away; none where nothing can abort the call. */
  stopListening: (() => void) | undefined = undefined;
  waits = true;
  constructor(
    readonly queue: WaitQueue,
    readonly keepAlive: boolean,
    readonly ctx: Context,
    readonly line: Line,
    readonly resolve: (entered: Context | undefined) => void,
    readonly reject: (error: unknown) => void,
  ) {}

  fire(): void {
    this.queue.timeOut(this);
  }
}

/** The calls that wait before an {@link Entrance}. */
export class WaitQueue {
  readonly #options: Complete<QueueOptions>;
  readonly #clock: Clock;
  readonly #entrance: Entrance;
  readonly #isSystem: boolean;
  readonly #keepAlive: boolean;
  readonly #lines = [new Line(), new Line(), new Line(), new Line()] as const;
  #size = 0;
  /** When it was last empty. */
  #emptyAt = NaN;

  constructor(options: Complete<QueueOptions>, clock: Clock, entrance: Entrance) {
    this.#options = options;
    this.#clock = clock;
    this.#isSystem = isSystemClock(clock);
    this.#keepAlive = mayKeepAlive(clock);
    this.#entrance = entrance;
  }

  get size(): number {
    return this.#size;
  }

  get isFull(): boolean {
    return this.#size >= this.#options.maxSize;
  }

  /** Whether a call waits whose turn is before that of `ctx`. */
  isBefore(ctx: Context): boolean {
    if (this.#size === 0) return false;
    const rank = this.#entrance.rankOf(ctx);
    for (let i = 0; i <= rank; i++) if (this.#lines[i]?.oldest !== undefined) return true;
    return false;
  }

  /** Sends away the last of those whose turn is after that of `ctx`; false = there is none. */
  makeRoomFor(ctx: Context): boolean {
    const rank = this.#entrance.rankOf(ctx);
    const last = this.#lines.findLast(({ newest }, i) => i > rank && newest !== undefined)?.newest;
    if (last === undefined || !this.#leave(last)) return false;
    last.resolve(undefined);
    return true;
  }

  /**
   * Resolves with the context to go on with, for which a permit is taken; with undefined after too long a wait. Rejects
   * with the abort's reason.
   */
  wait<C extends Context>(ctx: C, now: number): Promise<C | undefined> {
    return new Promise<Context | undefined>((resolve, reject) => {
      const abortable = abortableOf(ctx);
      if (abortable?.aborted) throw abortable.reason;
      if (this.#size === 0) this.#emptyAt = now;
      const line = this.#lines[this.#entrance.rankOf(ctx)] as Line;
      const waiter = new Waiter(this, this.#keepAlive, ctx, line, resolve, reject);
      this.#append(waiter);
      if (abortable !== undefined) this.#leaveOnAbort(waiter, abortable);
      const { maxWaitMs, targetWaitMs } = this.#options;
      const dueMs = now + (this.#stands(now) ? targetWaitMs : maxWaitMs);
      waiter.dueMs = Math.min(dueMs, ctx.deadline);
      if (this.#isSystem) hostTimers.add(waiter);
      else waiter.timer = timerAt(this.#clock, () => this.timeOut(waiter), waiter.dueMs);
    }) as Promise<C | undefined>;
  }

  #leaveOnAbort(waiter: Waiter, abortable: Abortable): void {
    const onAbort = (): void => {
      if (this.#leave(waiter)) waiter.reject(abortable.reason);
    };
    waiter.stopListening = () => abortable.remove(onAbort);
    abortable.add(onAbort);
  }

  /** Admits as many as there is room for. Never throws. */
  drain(now?: number): void {
    if (this.#size === 0) return;
    const at = now ?? this.#clock.now();
    for (let waiter = this.#next(at); waiter !== undefined && this.#tryEnter(waiter, at); waiter = this.#next(at));
  }

  #next(now: number): Waiter | undefined {
    const lines = this.#lines;
    for (let i = 0; i < lines.length; i++) {
      const line = lines[i] as Line;
      if (line.oldest === undefined) continue;
      return this.#options.order === 'adaptive-lifo' && this.#stands(now) ? line.newest : line.oldest;
    }
    return undefined;
  }

  #stands(now: number): boolean {
    return now - this.#emptyAt > this.#options.maxWaitMs;
  }

  /** Whether it has left the queue. */
  #tryEnter(waiter: Waiter, now: number): boolean {
    try {
      if (!this.#entrance.hasRoom(waiter.ctx, now)) return false;
      // It has waited, and the inner gates go by the time at which it goes on.
      const entered = derivedAt(waiter.ctx, now);
      if (!this.#entrance.enter(entered)) return false;
      if (this.#leave(waiter)) waiter.resolve(entered);
      // The user's `load` has aborted it while it was asked.
      else this.#entrance.exit(entered);
    } catch (error) {
      if (this.#leave(waiter)) waiter.reject(error);
    }
    return true;
  }

  /** The load may have fallen since a call last looked. */
  timeOut(waiter: Waiter): void {
    if (!this.#tryEnter(waiter, this.#clock.now()) && this.#leave(waiter)) waiter.resolve(undefined);
  }

  #append(waiter: Waiter): void {
    const { line } = waiter;
    waiter.older = line.newest;
    if (line.newest === undefined) line.oldest = waiter;
    else line.newest.newer = waiter;
    line.newest = waiter;
    this.#size++;
  }

  #leave(waiter: Waiter): boolean {
    if (!waiter.waits) return false;
    waiter.waits = false;
    const { line, older, newer } = waiter;
    if (older === undefined) line.oldest = newer;
    else older.newer = newer;
    if (newer === undefined) line.newest = older;
    else newer.older = older;
    this.#size--;
    waiter.stopListening?.();
    if (this.#isSystem) hostTimers.clear(waiter);
    else this.#clock.clearTimer(waiter.timer);
    return true;
  }
}
