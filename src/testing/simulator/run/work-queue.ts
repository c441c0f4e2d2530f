/** The queue is in trouble once it has not been empty for so long, ms (B. Maurer, Fail at Scale, ACM Queue 2015). */
const PATIENCE_MS = 100;

export type Order = 'fifo' | 'lifo' | 'adaptive';

/** What waits: since when, and whether it has been given up meanwhile. */
export interface Waiting {
  readonly receivedMs: number;
  dropped: boolean;
}

/** A queue that is taken from at either end. What is dropped stays in its place until the queue is taken from there. */
export class WorkQueue<W extends Waiting> {
  #items: W[] = [];
  #head = 0;
  #length = 0;
  #filledSinceMs = 0;

  get length(): number {
    return this.#length;
  }

  push(item: W, nowMs: number): void {
    if (this.#length === 0) this.#filledSinceMs = nowMs;
    this.#items.push(item);
    this.#length++;
  }

  drop(item: W): void {
    item.dropped = true;
    this.#length--;
  }

  take(order: Order, nowMs: number): W | undefined {
    const last = order === 'lifo' || (order === 'adaptive' && nowMs - this.#filledSinceMs > PATIENCE_MS);
    while (this.#head < this.#items.length) {
      const item = (last ? this.#items.pop() : this.#items[this.#head++]) as W;
      if (this.#head > 1_024 && 2 * this.#head > this.#items.length) {
        this.#items = this.#items.slice(this.#head);
        this.#head = 0;
      }
      if (item.dropped) continue;
      this.#length--;
      return item;
    }
    return undefined;
  }

  /** When the one that waits longest came; undefined = none waits. */
  oldestMs(): number | undefined {
    while (this.#items[this.#head]?.dropped) this.#head++;
    return this.#items[this.#head]?.receivedMs;
  }

  takeAll(): W[] {
    const all = this.#items.slice(this.#head).filter(({ dropped }) => !dropped);
    this.#items = [];
    this.#head = 0;
    this.#length = 0;
    return all;
  }
}
