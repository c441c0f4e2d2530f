import type { Instance } from './instance.js';

/** Where calls are few, this many for each probe. */
const CALLS_A_PROBE = 10;

/**
 * Which users' calls go to instances that are not up, to learn of them: at least one each `probeIntervalMs` while
 * there are calls; more for several unhealthy instances, but in no stretch of time more than one or `probeRatio` of its
 * calls. Where calls are so few that each could be a probe, a tenth of them are, or an instance's share in a pool of
 * fewer.
 */
export class UserProbes<T> {
  /** Instances that are not up, the one heard of longest ago first: a Set is walked in the order of insertion. */
  readonly #unhealthy = new Set<Instance<T>>();
  #probedAt = 0;
  /** There was no probe: as if long ago. */
  #callsSince = Infinity;

  get size(): number {
    return this.#unhealthy.size;
  }

  add(instance: Instance<T>, now: number): void {
    this.#unhealthy.delete(instance);
    this.#unhealthy.add(instance);
    instance.triedAt = now;
  }

  delete(instance: Instance<T>): void {
    this.#unhealthy.delete(instance);
  }

  /** A call went to it by its weight. */
  touch(instance: Instance<T>, now: number): void {
    if (this.#unhealthy.has(instance)) this.add(instance, now);
  }

  /** The instance that the present call has to go to, if it is a probe. */
  next(now: number, poolSize: number, probeIntervalMs: number, probeRatio: number): Instance<T> | undefined {
    this.#callsSince++;
    if (this.#callsSince < Math.min(poolSize, CALLS_A_PROBE)) return undefined;
    const [first] = this.#unhealthy;
    if (first === undefined || now - first.triedAt < probeIntervalMs) return undefined;
    // Twice as far apart as the ratio says: then no stretch that begins and ends with a probe has more than it.
    if (now - this.#probedAt < probeIntervalMs && this.#callsSince * probeRatio < 2) return undefined;
    this.#probedAt = now;
    this.#callsSince = 0;
    this.add(first, now);
    return first;
  }

  /** The clock was set by so much. */
  shift(byMs: number): void {
    this.#probedAt += byMs;
  }
}
