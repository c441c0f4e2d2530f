/** The latest `size` response times, in order: a quantile of them is exact, and costs nothing to ask for. */
export class ResponseTimes {
  readonly #latest: Float64Array;
  readonly #sorted: Float64Array;
  #next = 0;
  #count = 0;

  constructor(size: number) {
    this.#latest = new Float64Array(size);
    this.#sorted = new Float64Array(size);
  }

  get count(): number {
    return this.#count;
  }

  add(ms: number): void {
    const sorted = this.#sorted;
    const to = this.#place(ms);
    const free = this.#count < sorted.length ? this.#count++ : this.#place(this.#latest[this.#next] as number);
    this.#latest[this.#next] = ms;
    this.#next = (this.#next + 1) % sorted.length;
    if (to > free) {
      sorted.copyWithin(free, free + 1, to);
      sorted[to - 1] = ms;
    } else {
      sorted.copyWithin(to + 1, to, free);
      sorted[to] = ms;
    }
  }

  /** The least of them that so large a share of them does not exceed, ms; 0 while there are none. */
  quantile(share: number): number {
    return this.#sorted[Math.max(0, Math.ceil(share * this.#count) - 1)] as number;
  }

  /** Where the first of them stands that is not less than `ms`. */
  #place(ms: number): number {
    let from = 0;
    let to = this.#count;
    while (from < to) {
      const middle = (from + to) >> 1;
      if ((this.#sorted[middle] as number) < ms) from = middle + 1;
      else to = middle;
    }
    return from;
  }
}
