import type { Choice } from './choice.js';
import type { InstanceState } from './health.js';
import type { Instance } from './instance.js';

/** Plain data on one instance. */
export interface InstanceSnapshot<T> {
  /** The one that was given. */
  instance: T;
  state: InstanceState;
  staticWeight: number;
  /** By its health, 0 to `staticWeight`. */
  weight: number;
  /** Of all calls but the probes, the share that it gets at present. */
  shareRatio: number;
  /** Of its latest calls; 1 = there was none since it was added or began to recover. */
  successRatio: number;
  /** Calls that were picked for it and not reported yet. */
  inFlight: number;
  /** Average response time, ms; 0 = not known. Measured with `choice: 'latency'` only. */
  latencyMs: number;
}

/** Plain data on a balancer. */
export interface BalancerSnapshot<T> {
  instances: InstanceSnapshot<T>[];
  /** Whether too many are unhealthy, so that all get their full weight. */
  panic: boolean;
}

/** An instance is low under the one share of its weight, and no longer from the other on: it must not flap between. */
const LOW_RATIO = 0.5;
const NOT_LOW_RATIO = 0.6;

/** The instances, and by what weight each is chosen: its health's, or its full one while too many are unhealthy. */
export class Pool<T> {
  readonly #choice: Choice<T>;
  readonly #instances = new Map<T, Instance<T>>();
  #panicRatio: number;
  #panic = false;
  #low = 0;
  #masked = 0;

  constructor(choice: Choice<T>, panicRatio: number) {
    this.#choice = choice;
    this.#panicRatio = panicRatio;
  }

  next(now: number): Instance<T> | undefined {
    return this.#choice.next(now);
  }

  get(value: T): Instance<T> | undefined {
    return this.#instances.get(value);
  }

  values(): Iterable<Instance<T>> {
    return this.#instances.values();
  }

  get size(): number {
    return this.#instances.size;
  }

  get panic(): boolean {
    return this.#panic;
  }

  set panicRatio(panicRatio: number) {
    this.#panicRatio = panicRatio;
    this.#checkPanic();
  }

  add(added: Instance<T>): void {
    this.#instances.set(added.value, added);
    this.weigh(added);
  }

  remove(value: T): Instance<T> | undefined {
    const removed = this.#instances.get(value);
    if (removed === undefined) return undefined;
    this.#instances.delete(value);
    removed.removed = true;
    this.#choice.set(removed, 0);
    this.#low -= Number(removed.low);
    this.#masked -= Number(removed.weight === 0);
    this.#checkPanic();
    return removed;
  }

  /** Has its health, or its static weight, take effect. */
  weigh(instance: Instance<T>): void {
    const { weight } = instance.health;
    this.#masked += Number(weight === 0) - Number(instance.weight === 0);
    instance.weight = weight;
    const low = weight < (instance.low ? NOT_LOW_RATIO : LOW_RATIO);
    this.#low += Number(low) - Number(instance.low);
    instance.low = low;
    this.#offer(instance);
    this.#checkPanic();
  }

  #checkPanic(): void {
    const { size } = this.#instances;
    const panic = size > 0 && (this.#low > this.#panicRatio * size || this.#masked === size);
    if (panic === this.#panic) return;
    this.#panic = panic;
    for (const instance of this.#instances.values()) this.#offer(instance);
  }

  #offer(instance: Instance<T>): void {
    this.#choice.set(instance, instance.staticWeight * (this.#panic ? 1 : instance.weight));
  }

  snapshot(): BalancerSnapshot<T> {
    const all = [...this.#instances.values()];
    const total = all.reduce((sum, { share }) => sum + share, 0);
    const instances = all.map(({ value, health, staticWeight, share, inFlight, latencyMs }) => ({
      instance: value,
      state: health.state,
      staticWeight,
      weight: staticWeight * health.weight,
      shareRatio: share / total,
      successRatio: health.successRatio,
      inFlight,
      latencyMs,
    }));
    return { instances, panic: this.#panic };
  }
}
