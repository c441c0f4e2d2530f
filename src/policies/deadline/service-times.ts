const SIZE = 64;
/** 3 outliers among 64 do not count, and 4 calls are enough to see that all have become slower. */
const HIGH = 0.95;

/** The latest 64 service times, kept in order: their middle, and what 95 % of them stay under. */
export class ServiceTimes {
  readonly #latest = new Float64Array(SIZE);
  readonly #sorted = new Float64Array(SIZE);
  #next = 0;
  /** How many there are. */
  count = 0;
  /** 0 while there are none. */
  medianMs = 0;
  highMs = 0;

  add(ms: number): void {
    const sorted = this.#sorted;
    let place = this.count < SIZE ? this.count++ : sorted.indexOf(this.#latest[this.#next] as number);
    this.#latest[this.#next] = ms;
    this.#next = (this.#next + 1) % SIZE;
    const last = this.count - 1;
    for (; place > 0 && (sorted[place - 1] as number) > ms; place--) sorted[place] = sorted[place - 1] as number;
    for (; place < last && (sorted[place + 1] as number) < ms; place++) sorted[place] = sorted[place + 1] as number;
    sorted[place] = ms;
    this.medianMs = sorted[last >> 1] as number;
    this.highMs = sorted[Math.ceil(HIGH * this.count) - 1] as number;
  }

  clear(): void {
    this.count = this.#next = this.medianMs = this.highMs = 0;
  }
}
