import type { Random } from '../../../core/numbers/random.js';
import { arrivalAfter } from '../scenario/arrivals.js';
import { poissonGap } from '../scenario/durations.js';
import type { LoadPlan } from '../scenario/plan.js';
import type { CallInfo } from '../scenario/scenario.js';
import type { Caller } from './caller.js';
import type { Meter } from './meter.js';
import type { Timeline } from './timeline.js';
import { callInit } from './work.js';

/** More calls than this, and ten of each user, in one instant: all are answered at once, and no user pauses. */
const MAX_AT_ONCE = 10_000;

/** Makes the users' calls, and counts how they end. */
export class LoadGenerator {
  readonly #timeline: Timeline;
  readonly #meter: Meter;
  readonly #caller: Caller;
  readonly #stopAt: (mistake: unknown) => void;

  constructor(timeline: Timeline, meter: Meter, caller: Caller, stopAt: (mistake: unknown) => void) {
    this.#timeline = timeline;
    this.#meter = meter;
    this.#caller = caller;
    this.#stopAt = stopAt;
  }

  begin(load: LoadPlan, random: Random): void {
    const { kind, stretches, fromMs, toMs, count, everyMs } = load;
    const at = (dueMs: number, fn: () => void): void => {
      if (dueMs < toMs) this.#timeline.at(dueMs, fn);
    };
    if (kind === 'users') {
      this.#admitUsers(load, random);
    } else if (kind === 'bursts') {
      const burst = (): void => {
        for (let i = 0; i < count; i++) void this.#offer(load, random);
        at(this.#timeline.now() + everyMs, burst);
      };
      at(fromMs, burst);
    } else {
      const nextAfter = (ms: number): number =>
        arrivalAfter(stretches, ms, kind === 'poisson' ? poissonGap(random) : 1);
      const arrive = (): void => {
        void this.#offer(load, random);
        at(nextAfter(this.#timeline.now()), arrive);
      };
      at(nextAfter(fromMs), arrive);
    }
  }

  /** The users of a closed loop: each thinks, calls, waits, thinks … */
  #admitUsers(load: LoadPlan, random: Random): void {
    let lastMs = -1;
    let atOnce = 0;
    const think = (afterMs: number): void => {
      const dueMs = afterMs + load.thinkTimeMs(this.#infoOf(load, random), random);
      if (dueMs >= load.toMs) return;
      atOnce = dueMs === lastMs ? atOnce + 1 : 0;
      lastMs = dueMs;
      if (atOnce > MAX_AT_ONCE + 10 * load.count) throw endless(load.path, dueMs);
      this.#timeline.at(dueMs, () => {
        const again = (): void => think(this.#timeline.now());
        this.#offer(load, random).then(again).catch(this.#stopAt);
      });
    };
    for (let i = 0; i < load.count; i++) think(load.fromMs);
  }

  #infoOf({ tier, key, cost }: LoadPlan, random: Random): CallInfo {
    return { tier: tier(random), key: key(random), cost, atMs: this.#timeline.now() };
  }

  /** One call, until its end is counted. */
  #offer(load: LoadPlan, random: Random): Promise<void> {
    const info = this.#infoOf(load, random);
    const offered = this.#meter.offer(info);
    if (this.#caller.isGuarded) this.#timeline.wake();
    return this.#caller.call(callInit(info), offered.onTry).then(
      () => offered.succeeded(this.#timeline.now()),
      (error: unknown) => {
        const mistake = offered.failed(error);
        if (mistake) this.#stopAt(error);
      },
    );
  }
}

const endless = (path: string, atMs: number): Error =>
  new RangeError(
    `${path}: thinkTimeMs must be > 0 while calls are answered at once, as at ${atMs} ms: the users would call for ever`,
  );
