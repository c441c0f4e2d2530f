import type { Random } from '../../core/numbers/random.js';
import type { Choice } from './choice.js';
import type { Instance } from './instance.js';

/** Beyond it all deadlines are brought down, before the smallest step drowns in rounding. */
const REBASE_AT = 2 ** 32;

/**
 * Smooth weighted choice in O(log n): each instance has a deadline, the earliest is chosen and its own moved on by
 * 1 / weight. Equal weights take turns; an instance of weight w gets every (Σ weights / w)-th call, evenly spread, as
 * by nginx's smooth weighted round robin, which takes O(n). Source: earliest deadline first, as in Envoy's scheduler
 * and Waldspurger's stride scheduling. A new weight counts from the instance's next turn on, and that
 * is one turn of the new weight away at most.
 */
export class SmoothChoice<T> implements Choice<T> {
  readonly #random: Random;
  /** A binary heap in two arrays. */
  readonly #deadlines: number[] = [];
  readonly #instances: Instance<T>[] = [];
  #now = 0;

  constructor(random: Random) {
    this.#random = random;
  }

  next(): Instance<T> | undefined {
    const first = this.#instances[0];
    if (first === undefined) return undefined;
    this.#now = this.#deadlines[0] as number;
    if (this.#now > REBASE_AT) this.#rebase();
    this.#sink(0, this.#now + 1 / first.share, first);
    return first;
  }

  set(instance: Instance<T>, weight: number): void {
    instance.share = weight;
    const { place } = instance;
    if (place < 0) {
      // At a random moment of its turn: many clients that start together must not all begin with the same one.
      if (weight > 0) this.#rise(this.#instances.length, this.#now + this.#random() / weight, instance);
    } else if (weight === 0) this.#remove(place);
    else this.#rise(place, Math.min(this.#deadlines[place] as number, this.#now + 1 / weight), instance);
  }

  #remove(place: number): void {
    (this.#instances[place] as Instance<T>).place = -1;
    const last = this.#instances.pop() as Instance<T>;
    const deadline = this.#deadlines.pop() as number;
    if (place === this.#instances.length) return;
    this.#sink(place, deadline, last);
    // It comes from another branch, and may be earlier than what is above it here.
    this.#rise(last.place, deadline, last);
  }

  #rise(from: number, deadline: number, instance: Instance<T>): void {
    let place = from;
    while (place > 0) {
      const above = (place - 1) >> 1;
      if (deadline >= (this.#deadlines[above] as number)) break;
      this.#put(place, this.#deadlines[above] as number, this.#instances[above] as Instance<T>);
      place = above;
    }
    this.#put(place, deadline, instance);
  }

  #sink(from: number, deadline: number, instance: Instance<T>): void {
    const deadlines = this.#deadlines;
    let place = from;
    for (;;) {
      let child = 2 * place + 1;
      if (child >= deadlines.length) break;
      // Of equal ones either will do, and what is beyond the end is never less.
      if (child + 1 < deadlines.length && (deadlines[child + 1] as number) < (deadlines[child] as number)) child++;
      const least = deadlines[child] as number;
      // Of equal ones the moved one goes last: those that wait keep their turn.
      if (least > deadline) break;
      this.#put(place, least, this.#instances[child] as Instance<T>);
      place = child;
    }
    this.#put(place, deadline, instance);
  }

  #put(place: number, deadline: number, instance: Instance<T>): void {
    this.#deadlines[place] = deadline;
    this.#instances[place] = instance;
    instance.place = place;
  }

  #rebase(): void {
    for (let i = 0; i < this.#deadlines.length; i++) (this.#deadlines[i] as number) -= this.#now;
    this.#now = 0;
  }
}
