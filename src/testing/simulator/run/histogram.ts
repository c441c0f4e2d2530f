import { log2 } from '../../elementary.js';

/** Buckets a doubling: what is read off is within 1 / (2 · 16) of a doubling of the truth, 2.2 %. */
const PER_OCTAVE = 16;
/** Times below it are one bucket, ms. */
const LEAST_MS = 0.01;

/** 2^(1/16), and the middle of a bucket below its upper end. By roots, which every engine rounds alike. */
const STEP = Math.sqrt(Math.sqrt(Math.sqrt(Math.SQRT2)));
const HALF_STEP_DOWN = 1 / Math.sqrt(STEP);

/** Where the middle of `bucket` lies, ms. */
function middleOf(bucket: number): number {
  let ms = LEAST_MS * HALF_STEP_DOWN;
  for (let octave = PER_OCTAVE; octave <= bucket; octave += PER_OCTAVE) ms *= 2;
  for (let step = 0; step < bucket % PER_OCTAVE; step++) ms *= STEP;
  return ms;
}

/** Times in buckets that grow by a constant factor: bounded memory, whatever the number of times. */
export class Histogram {
  readonly #counts: number[] = [];
  #count = 0;
  #sum = 0;
  #max = 0;

  get count(): number {
    return this.#count;
  }

  add(ms: number): void {
    const bucket = ms <= LEAST_MS ? 0 : Math.ceil(log2(ms / LEAST_MS) * PER_OCTAVE);
    while (this.#counts.length <= bucket) this.#counts.push(0);
    this.#counts[bucket] = (this.#counts[bucket] as number) + 1;
    this.#count++;
    this.#sum += ms;
    if (ms > this.#max) this.#max = ms;
  }

  addAll(other: Histogram): void {
    other.#counts.forEach((n, bucket) => {
      this.#counts[bucket] = (this.#counts[bucket] ?? 0) + n;
    });
    this.#count += other.#count;
    this.#sum += other.#sum;
    this.#max = Math.max(this.#max, other.#max);
  }

  /** NaN = there is none. */
  get mean(): number {
    return this.#count === 0 ? Number.NaN : this.#sum / this.#count;
  }

  /** NaN = there is none. */
  get max(): number {
    return this.#count === 0 ? Number.NaN : this.#max;
  }

  /** What `ratio` of them stay at or under; NaN = there is none. */
  quantile(ratio: number): number {
    const wanted = Math.max(1, Math.ceil(ratio * this.#count));
    let seen = 0;
    for (let bucket = 0; bucket < this.#counts.length; bucket++) {
      seen += this.#counts[bucket] as number;
      if (seen >= wanted) return Math.min(this.#max, middleOf(bucket));
    }
    return Number.NaN;
  }
}
