/**
 * Counts over the last `windowMs`, in `buckets` steps. The window at `now` is the buckets whose number,
 * `floor(time / bucketMs)`, is less than `buckets` behind that of the latest time seen; expiry happens on reading, so a
 * silent hour needs no timer (cockatiel's window moves one bucket however long the gap). A clock that steps back stands
 * still until it has caught up.
 */
export class RollingWindow {
  readonly #bucketMs: number;
  readonly #buckets: number;
  readonly #series: number;
  /** By bucket, then by series. */
  readonly #counts: Float64Array;
  /** Of all buckets but the newest, so that adding there is a single write. */
  readonly #older: Float64Array;
  /** Number of the newest bucket. */
  #head = -Infinity;
  #headSlot = 0;
  /** Where its counts begin. */
  #headAt = 0;
  /** Times from the one up to the other are of the newest bucket for sure: no division tells it. */
  #from = Infinity;
  #until = -Infinity;

  /** `series` counts are kept side by side. */
  constructor(windowMs: number, buckets: number, series: number) {
    this.#bucketMs = windowMs / buckets;
    this.#buckets = buckets;
    this.#series = series;
    this.#counts = new Float64Array(buckets * series);
    this.#older = new Float64Array(series);
  }

  /** Moves on to `now`; what is too old is gone after that. Every read and every write at `now` begins with it. */
  advance(now: number): void {
    if (now < this.#until) return;
    const bucket = Math.floor(now / this.#bucketMs);
    if (bucket > this.#head) this.#expire(bucket);
  }

  /** Adds to the newest bucket. */
  addNow(series: number, amount: number): void {
    (this.#counts[this.#headAt + series] as number) += amount;
  }

  /** Adds to the bucket of `at`, which `advance` has reached; too long ago, and it is left out. */
  add(series: number, at: number, amount: number): void {
    const behind = at >= this.#from ? 0 : this.#head - Math.floor(at / this.#bucketMs);
    if (behind <= 0) {
      this.addNow(series, amount);
    } else if (behind < this.#buckets) {
      const slot = (this.#headSlot - behind + this.#buckets) % this.#buckets;
      (this.#counts[slot * this.#series + series] as number) += amount;
      (this.#older[series] as number) += amount;
    }
  }

  total(series: number): number {
    return (this.#older[series] as number) + (this.#counts[this.#headAt + series] as number);
  }

  /** What `total` would be after `advance(now)`, for those who only look. */
  totalAt(series: number, now: number): number {
    const passed = Math.floor(now / this.#bucketMs) - this.#head;
    if (!(passed > 0)) return this.total(series);
    let sum = 0;
    for (let behind = this.#buckets - 1 - passed; behind >= 0; behind--) {
      const slot = (this.#headSlot - behind + this.#buckets) % this.#buckets;
      sum += this.#counts[slot * this.#series + series] as number;
    }
    return sum;
  }

  /** Forgets everything, the time too. */
  restart(): void {
    this.clear();
    this.#head = this.#until = -Infinity;
    this.#from = Infinity;
  }

  clear(): void {
    this.#counts.fill(0);
    this.#older.fill(0);
  }

  /** When the oldest bucket will next go out, clock ms. */
  get nextExpiryMs(): number {
    return (this.#head + 1) * this.#bucketMs;
  }

  #expire(bucket: number): void {
    const series = this.#series;
    const steps = Math.min(bucket - this.#head, this.#buckets);
    this.#head = bucket;
    const from = bucket * this.#bucketMs;
    const until = from + this.#bucketMs;
    // By some roundings on the safe side.
    this.#from = from + Math.abs(from) * 2 ** -50;
    this.#until = until - Math.abs(until) * 2 ** -50;
    for (let step = 0; step < steps; step++) {
      this.#headSlot = (this.#headSlot + 1) % this.#buckets;
      this.#counts.fill(0, this.#headSlot * series, (this.#headSlot + 1) * series);
    }
    this.#headAt = this.#headSlot * series;
    // Added up again, once per bucket: subtracting would let the rounding of fractions pile up.
    this.#older.fill(0);
    for (let i = 0; i < this.#counts.length; i++) (this.#older[i % series] as number) += this.#counts[i] as number;
  }
}
