import type { Context } from '../../core/call/context.js';
import { callNext } from '../../core/call/promises.js';
import { isRejected } from '../../core/errors.js';
import { RollingWindow } from '../../core/numbers/rolling-window.js';
import { OptionReader } from '../../core/options/validate.js';
import type { Classify, Next, Policy } from '../../core/policy.js';
import type { Clock } from '../../core/time/clock.js';
import { timerAt } from '../../core/time/timers.js';
import { judge } from '../../core/verdict.js';

/** What has to hold, as seen by the callers: the experiment stops as soon as it does not. */
export interface SteadyState {
  /** The least share of good answers, 0 to 1. @default 0.95 */
  minGoodRatio?: number | undefined;
  /** An answer later than this is no good one, ms; > 0. @default 10_000 */
  maxMs?: number | undefined;
  /** How far back answers count, ms; > 0. @default 10_000 */
  windowMs?: number | undefined;
  /** Fewer answers than this prove nothing; whole, ≥ 1. @default 20 */
  minRequests?: number | undefined;
}

const GOOD = 0;
const BAD = 1;
const BUCKETS = 20;

/** Watches the calls from outside all policies that are meant to hide the faults. */
export class SteadyStatePolicy implements Policy {
  readonly name: string;
  readonly clock: Clock;
  readonly #classify: Classify | undefined;
  readonly #minGoodRatio: number;
  readonly #maxMs: number;
  readonly #minRequests: number;
  readonly #window: RollingWindow;
  /** Told when an answer was no good one. */
  readonly #onBad: () => void;
  #used = false;

  constructor(given: unknown, owner: string, clock: Clock, classify: Classify | undefined, onBad: () => void) {
    const read = new OptionReader(`${owner}: steadyState`, given);
    this.#minGoodRatio = read.number('minGoodRatio', 0.95, { min: 0, max: 1 });
    this.#maxMs = read.number('maxMs', 10_000, { above: 0 });
    this.#window = new RollingWindow(read.number('windowMs', 10_000, { above: 0 }), BUCKETS, 2);
    this.#minRequests = read.number('minRequests', 20, { min: 1, integer: true });
    read.done();
    this.name = `${owner}.steadyState`;
    this.clock = clock;
    this.#classify = classify;
    this.#onBad = onBad;
  }

  /** Whether any call has been seen. */
  get used(): boolean {
    return this.#used;
  }

  get holds(): boolean {
    this.#window.advance(this.clock.now());
    const good = this.#window.total(GOOD);
    const all = good + this.#window.total(BAD);
    return all < this.#minRequests || good >= this.#minGoodRatio * all;
  }

  run<C extends Context, R>(ctx: C, next: Next<C, R>): Promise<R> {
    this.#used = true;
    // Not only by how it ends: a call that hangs does not.
    let late = false;
    const fail = (): void => {
      late = true;
      this.#count(BAD);
    };
    const timer = timerAt(this.clock, fail, this.clock.now() + this.#maxMs, false);
    const ended = (ok: boolean, result: unknown): void => {
      this.clock.clearTimer(timer);
      if (late) return;
      const verdict = judge(this.#classify, ok, result, ctx);
      if (verdict === 'success') this.#count(GOOD);
      // A refusal says nothing about the downstream, and the caller goes without an answer all the same.
      else if (verdict !== 'ignored' || (!ok && isRejected(result))) this.#count(BAD);
    };
    return callNext(ctx, next).then(
      (value) => {
        ended(true, value);
        return value;
      },
      (error: unknown) => {
        ended(false, error);
        throw error;
      },
    );
  }

  #count(series: number): void {
    this.#window.advance(this.clock.now());
    this.#window.addNow(series, 1);
    if (series === BAD) this.#onBad();
  }
}
