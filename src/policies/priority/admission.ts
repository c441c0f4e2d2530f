import type { Tier } from '../../core/call/context.js';
import { LEVELS } from './level.js';

const TIERS = 4;
const PLACES = TIERS * LEVELS;

/** At a load of 0, so much more is admitted than is served: the queue fills again. */
const GROWTH = 0.25;
/** At a load of 0, at least this share of all that is offered is admitted more a step: all of it again after 250. */
const BETA = 0.004;
/** At most this share of what is admitted goes in one step. */
const ALPHA = 0.5;
/** At a load of 1, so much less is admitted than is served: the queue drains. */
const DRAIN = 0.4;
/** A tier is not cut into, nor the next one admitted, for a difference smaller than this share. */
const STICK = 0.15;

/** The priority of a call: 0 = tier 1, level 0. */
export const placeOf = (tier: Tier, level: number): number => (tier - 1) * LEVELS + level;

/**
 * Which part of the offered calls is admitted: those of a place below `cutoff`. The maths alone, without a clock.
 *
 *     load < threshold:  ratio ← max(served / offered · (1 + GROWTH · room), ratio + BETA · room)
 *     load ≥ threshold:  ratio ← min(served / offered · (1 − DRAIN · excess), ratio)
 *
 * but never to more than 1 + GROWTH times the ratio in one step (or BETA more), nor to less than 1 − ALPHA of it.
 * `excess` is how far the load is over the threshold, as a share of how far it can be, and `room` the square of how far
 * it is below: near the threshold the next tier is left waiting, or each lull would let it in. The cutoff is the
 * quantile of the offered calls at `ratio`, drawn to the nearest boundary between tiers.
 */
export class Admission {
  /** Offered calls by place, fading. */
  readonly #offered = new Float64Array(PLACES);
  /** Calls that were served, fading alike. */
  #served = 0;
  /** Share of the offered calls that the load asks for … */
  ratio = 1;
  /** … and, drawn to a boundary between tiers, that is admitted. */
  target = 1;
  /** Places below it get in. */
  cutoff = PLACES;
  shedding = false;

  /** Counts a call that is offered, and tells whether it gets in. */
  offer(place: number): boolean {
    (this.#offered[place] as number) += 1;
    return place < this.cutoff;
  }

  serve(): void {
    this.#served++;
  }

  /** Decides again; `steps` steps have passed since the last time, and of what was counted `keep` goes on counting. */
  step(load: number, threshold: number, steps: number, keep: number): void {
    this.#adjust(load, threshold, steps);
    const offered = this.#offered;
    for (let i = 0; i < PLACES; i++) (offered[i] as number) *= keep;
    this.#served *= keep;
  }

  #adjust(load: number, threshold: number, steps: number): void {
    const total = this.#sum(PLACES);
    const served = total > 0 ? Math.min(1, this.#served / total) : 1;
    if (load < threshold) {
      const room = ((threshold - load) / threshold) ** 2;
      const more = Math.min(served * (1 + GROWTH * room), this.ratio * (1 + GROWTH));
      this.ratio = Math.min(1, Math.max(more, this.ratio + BETA * steps * room));
      if (this.ratio === 1) this.shedding = false;
    } else {
      this.shedding = true;
      const excess = (load - threshold) / (1 - threshold);
      const less = Math.min(served * (1 - DRAIN * excess), this.ratio);
      this.ratio = Math.max(less, this.ratio * (1 - ALPHA), Number.MIN_VALUE);
    }
    // Where nothing has been offered yet, nothing tells where to cut.
    const cuts = this.shedding && total > 0;
    this.target = cuts ? this.#stick(total) : 1;
    this.cutoff = cuts ? this.#cutoffAt(this.target, total) : PLACES;
  }

  #sum(places: number): number {
    let sum = 0;
    for (let i = 0; i < places; i++) sum += this.#offered[i] as number;
    return sum;
  }

  /** The ratio, drawn to a boundary between tiers where one is near; a continuous function of it. */
  #stick(total: number): number {
    const { ratio } = this;
    let tier = 1;
    let below = 0;
    let above = this.#sum(LEVELS) / total;
    while (ratio > above) {
      tier++;
      below = above;
      above = this.#sum(tier * LEVELS) / total;
    }
    // A small tier keeps a third of it to be cut in.
    const third = (above - below) / 3;
    const from = below + Math.min(STICK * below, third);
    const to = above - Math.min(STICK * above, third);
    return below + Math.min(1, Math.max(0, (ratio - from) / (to - from))) * (above - below);
  }

  /**
   * The place below which there is `share` of the offered calls. Levels that no call is on count to the better side.
   */
  #cutoffAt(share: number, total: number): number {
    // Less a rounding error, which would otherwise admit the first of the next tier.
    const mass = (share - 1e-9) * total;
    let sum = 0;
    let place = 0;
    while (sum < mass || sum === 0) sum += this.#offered[place++] as number;
    while (place % LEVELS > 0 && this.#offered[place] === 0) place++;
    return place;
  }
}
