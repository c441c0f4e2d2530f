/** What rounding took from `sum` = a + b. */
function lost(a: number, b: number, sum: number): number {
  const added = sum - a;
  return a - (sum - added) + (b - added);
}

/**
 * A running sum that keeps what rounding takes from it (Knuth's TwoSum), so that fractions may be added and subtracted
 * for ever; of whole numbers it is the plain sum.
 */
export class Total {
  #sum = 0;
  #rest = 0;

  add(x: number): void {
    const sum = this.#sum + x;
    this.#rest += lost(this.#sum, x, sum);
    this.#sum = sum;
  }

  /** The sum with `x` added to it, rounded once. */
  plus(x: number): number {
    const sum = this.#sum + x;
    return sum + (this.#rest + lost(this.#sum, x, sum));
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
