/**
 * Sheds the least important calls while there is more to do than can be done: tier 4 first, then 3, then 2, tier 1
 * last, and within a tier by the user's level, so that some users are served whole instead of all in part.
 *
 * Source: DAGOR (Zhou et al., SoCC 2018), with its hourly user levels and its histogram of what is offered. The
 * threshold moves otherwise: by what is really served, and with a stop at each boundary between tiers (`admission.ts`,
 * docs/decisions/0004).
 */

import type { Context, Tier } from '../../core/call/context.js';
import { notify } from '../../core/events.js';
import { GateBase, readMode } from '../../core/gates/gate-base.js';
import { COUNTED, UNCOUNTED } from '../../core/gates/ledger.js';
import { invalid, OptionReader } from '../../core/options/validate.js';
import type { Gate, GateOptions, Verdict } from '../../core/policy.js';
import { sameClock, systemClock, wallTime } from '../../core/time/clock.js';
import { Admission, placeOf } from './admission.js';
import { LEVELS, levelOf } from './level.js';

/** Options of {@link tierShedder}. */
export interface TierShedderOptions extends GateOptions {
  /** How loaded the protected part is, 0 to 1: how full its queue is, calls in flight over their limit, utilisation …
   * Asked 100 times a window, on a call's path: keep it short. */
  load: () => number;
  /** From this load on calls are shed, > 0 and < 1. @default 0.8 */
  loadThreshold?: number | undefined;
  /** How far back what was offered and served counts, ms, > 0; longer than most calls last. @default 2_000 */
  windowMs?: number | undefined;
  /**
   * Whole hours since 1970, by which users change places. With a clock of one's own its hours, so that what runs in
   * virtual time comes out the same at any time of day.
   * @default the host's time of day
   */
  hour?: (() => number) | undefined;
}

/** What {@link TierShedder.update} can change. */
export type TierShedderUpdate = Pick<TierShedderOptions, 'loadThreshold' | 'mode'>;

/** Plain data on a tier shedder. */
export interface TierShedderSnapshot {
  state: 'idle' | 'shedding';
  /** The load when it was last asked for. */
  load: number;
  /** Share of the offered calls that it aims to admit. */
  admitRatio: number;
  /** Better tiers are admitted whole, worse ones not at all … */
  tier: Tier;
  /** … and of this one the levels below this, 1 to 128. */
  level: number;
}

/** A {@link tierShedder}. */
export interface TierShedder extends Gate {
  /** Changes settings at once and keeps what was counted; all or nothing. */
  update(options: TierShedderUpdate): void;
  snapshot(): TierShedderSnapshot;
}

/** How often a window the threshold moves. */
const STEPS = 100;
const HOUR_MS = 3_600_000;
const hourOf = (time: number): number => Math.floor(time / HOUR_MS);

const readThreshold = (read: OptionReader): number => read.number('loadThreshold', 0.8, { above: 0, below: 1 });

class PriorityShedder extends GateBase implements TierShedder {
  readonly reason = 'tier_shed';
  readonly usesElapsed = false;
  readonly #admission = new Admission();
  readonly #load: () => number;
  readonly #hourNow: () => number;
  readonly #windowMs: number;
  #loadThreshold: number;
  #steppedAt = -Infinity;
  #latestLoad = 0;
  #hour = 0;

  constructor(options: TierShedderOptions) {
    const read = new OptionReader('tierShedder', options);
    super(read, 'tierShedder');
    this.#load = read.fn('load') ?? invalid('tierShedder', 'load', 'a function', undefined, true);
    this.#loadThreshold = readThreshold(read);
    this.#windowMs = read.number('windowMs', 2_000, { above: 0 });
    const isHost = sameClock(this.clock, systemClock);
    this.#hourNow = read.fn('hour') ?? (() => hourOf(isHost ? wallTime() : this.clock.now()));
    read.done();
  }

  tryAcquire(ctx?: Partial<Context>): boolean {
    if (this.mode === 'off') {
      this.ledger.note(UNCOUNTED, ctx);
      return true;
    }
    const now = ctx?.startedAt ?? this.clock.now();
    if ((now - this.#steppedAt) * STEPS >= this.#windowMs) this.#step(now);
    if (!this.#admission.offer(this.#placeOf(ctx)) && !this.refuse(now, ctx)) return false;
    this.ledger.count(ctx);
    return true;
  }

  release(verdict: Verdict, _elapsedMs: number, ctx?: Partial<Context>): void {
    // Failures are quick where overload is slow: counted as work done, they would admit more.
    if (this.ledger.end(ctx) === COUNTED && verdict === 'success') this.#admission.serve();
  }

  #placeOf(ctx: Partial<Context> | undefined): number {
    const { tier = 3, key } = ctx ?? {};
    // Without a user there is nothing to be consistent about.
    const level = key === undefined ? Math.floor(this.random() * LEVELS) : levelOf(key, this.#hour);
    return placeOf(tier === 1 || tier === 2 || tier === 3 ? tier : 4, level);
  }

  #step(now: number): void {
    const passedMs = now - this.#steppedAt;
    this.#steppedAt = now;
    this.#hour = this.#hourNow();
    const load = this.#load();
    // NaN counts as 0.
    this.#latestLoad = Math.min(1, Math.max(0, load)) || 0;
    const { shedding } = this.#admission;
    const steps = (passedMs * STEPS) / this.#windowMs;
    this.#admission.step(this.#latestLoad, this.#loadThreshold, steps, Math.exp(-passedMs / this.#windowMs));
    if (this.#admission.shedding !== shedding && this.observer !== undefined) {
      notify(this.observer, { type: 'shed_state', policy: this.name, at: now, state: this.#state });
    }
  }

  get #state(): 'idle' | 'shedding' {
    return this.#admission.shedding ? 'shedding' : 'idle';
  }

  /** No advice: in this hour the same user finds the same answer while the overload lasts. */
  retryAfterMs(): number {
    return 0;
  }

  update(options: TierShedderUpdate): void {
    const read = new OptionReader(`${this.name}.update`, options, { loadThreshold: this.#loadThreshold });
    const loadThreshold = readThreshold(read);
    const mode = readMode(read, this.mode);
    read.done();
    this.#loadThreshold = loadThreshold;
    this.mode = mode;
  }

  snapshot(): TierShedderSnapshot {
    const { target, cutoff } = this.#admission;
    const tier = Math.ceil(cutoff / LEVELS) as Tier;
    return {
      state: this.#state,
      load: this.#latestLoad,
      admitRatio: target,
      tier,
      level: cutoff - (tier - 1) * LEVELS,
    };
  }
}

/**
 * Sheds the least important calls in overload. Needs each call's `tier`, and its user in `key`; with `load` as full as
 * the queue is, it admits what is served and no more.
 *
 * @throws TypeError or RangeError for a bad option.
 */
export function tierShedder(options: TierShedderOptions): TierShedder {
  return new PriorityShedder(options);
}
