/**
 * A running sum that keeps what rounding takes from it (Knuth's TwoSum), so that fractions may be added and taken back
 * for ever; of whole numbers it is the plain sum.
 */
export class Total {
  #sum = 0;
  #rest = 0;

  add(x: number): void {
    const before = this.#sum;
    const sum = before + x;
    const added = sum - before;
    this.#rest += before - (sum - added) + (x - added);
    this.#sum = sum;
  }

  /** The sum with `x` added to it. */
  plus(x: number): number {
    return this.#sum + x + this.#rest;
  }

  clear(): void {
    this.#sum = this.#rest = 0;
  }

  copy(): Total {
    const made = new Total();
    made.#sum = this.#sum;
    made.#rest = this.#rest;
    return made;
  }
}
