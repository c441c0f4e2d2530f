import type { Random } from '../../core/numbers/random.js';
import type { Choice } from './choice.js';
import type { Instance } from './instance.js';

/**
 * Power of two choices: of two instances drawn by weight, the one with the smaller response time × calls in flight.
 * Source: Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing"; the cost is Finagle's Peak EWMA
 * without the peak. The draw is exact and in O(log n): a tree of sums, each made again from the two below it, so
 * nothing drifts.
 */
export class TwoChoices<T> implements Choice<T> {
  readonly #random: Random;
  /** `#sums[1]` is the total; the leaves are the upper half. */
  #sums = new Float64Array(2);
  readonly #instances: Instance<T>[] = [];

  constructor(random: Random) {
    this.#random = random;
  }

  next(now: number): Instance<T> | undefined {
    const instances = this.#instances;
    if (instances.length < 2) return instances[0];
    const sums = this.#sums;
    const total = sums[1] as number;
    const first = instances[this.#find(this.#random() * total)] as Instance<T>;
    let at = this.#random() * (total - first.share);
    if (at >= this.#before(first.place)) at += first.share;
    const second = instances[this.#find(at)] as Instance<T>;
    return second.cost(now) < first.cost(now) ? second : first;
  }

  set(instance: Instance<T>, weight: number): void {
    instance.share = weight;
    const instances = this.#instances;
    let { place } = instance;
    if (weight === 0) {
      if (place >= 0) this.#remove(place);
      return;
    }
    if (place < 0) {
      place = instance.place = instances.length;
      instances.push(instance);
      if (instances.length > this.#sums.length / 2) this.#grow();
    }
    this.#write(place, weight);
  }

  #remove(place: number): void {
    const instances = this.#instances;
    (instances[place] as Instance<T>).place = -1;
    const last = instances.pop() as Instance<T>;
    this.#write(instances.length, 0);
    if (place === instances.length) return;
    instances[place] = last;
    last.place = place;
    this.#write(place, last.share);
  }

  #grow(): void {
    this.#sums = new Float64Array(this.#sums.length * 2);
    this.#instances.forEach(({ share }, place) => {
      this.#write(place, share);
    });
  }

  #write(place: number, weight: number): void {
    const sums = this.#sums;
    const leaf = sums.length / 2 + place;
    sums[leaf] = weight;
    for (let node = leaf >> 1; node > 0; node >>= 1)
      sums[node] = (sums[2 * node] as number) + (sums[2 * node + 1] as number);
  }

  /** The place that the weights up to `at` lead to. */
  #find(at: number): number {
    const sums = this.#sums;
    const leaves = sums.length / 2;
    let rest = at;
    let node = 1;
    while (node < leaves) {
      node *= 2;
      const left = sums[node] as number;
      // Rounding must not lead to where there is nothing.
      if (rest < left || sums[node + 1] === 0) continue;
      rest -= left;
      node++;
    }
    return node - leaves;
  }

  /** Sum of the weights before `place`. */
  #before(place: number): number {
    const sums = this.#sums;
    let before = 0;
    for (let node = sums.length / 2 + place; node > 1; node >>= 1)
      if (node % 2 === 1) before += sums[node - 1] as number;
    return before;
  }
}
