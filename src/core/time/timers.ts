/**
 * Timers in order of their time, many on one host timer: a host timer per call is most of what other libraries'
 * timeouts cost (`setTimeout` + `clearTimeout` 336 ns against 20 ns here, docs/performance.md).
 */

/** One timer: due at `dueMs`; those due together run in the order in which they were set. */
class Timer {
  /** Its place in the heap, while it is there. */
  place = 0;
  constructor(
    readonly dueMs: number,
    readonly order: number,
    public fn: (() => void) | undefined,
  ) {}
}

const before = (a: Timer, b: Timer): boolean => a.dueMs < b.dueMs || (a.dueMs === b.dueMs && a.order < b.order);

/** A binary heap that knows each timer's place, so that clearing one needs no search and leaves nothing behind. */
export class TimerQueue {
  readonly #heap: Timer[] = [];
  #order = 0;

  get size(): number {
    return this.#heap.length;
  }

  /** When the next timer is due; `Infinity` = there is none. */
  get nextDueMs(): number {
    return this.#heap[0]?.dueMs ?? Infinity;
  }

  /** When each waiting timer is due, soonest first. */
  dueTimes(): number[] {
    return this.#heap.map((timer) => timer.dueMs).sort((a, b) => a - b);
  }

  set(fn: () => void, dueMs: number): Timer {
    const timer = new Timer(dueMs, this.#order++, fn);
    if (dueMs < Infinity) this.#rise(timer, this.#heap.length);
    return timer;
  }

  clear(timer: unknown): void {
    if (!(timer instanceof Timer)) return;
    timer.fn = undefined;
    const place = timer.place;
    if (this.#heap[place] !== timer) return;
    const last = this.#heap.pop() as Timer;
    if (last === timer) return;
    if (place > 0 && before(last, this.#heap[(place - 1) >> 1] as Timer)) this.#rise(last, place);
    else this.#sink(last, place);
  }

  /** Takes the next timer out if it is due by `now`, and gives its function. */
  takeDue(now: number): (() => void) | undefined {
    const first = this.#heap[0];
    if (first === undefined || first.dueMs > now) return undefined;
    const { fn } = first;
    this.clear(first);
    return fn;
  }

  #rise(timer: Timer, from: number): void {
    const heap = this.#heap;
    let place = from;
    while (place > 0) {
      const above = (place - 1) >> 1;
      const parent = heap[above] as Timer;
      if (!before(timer, parent)) break;
      heap[place] = parent;
      parent.place = place;
      place = above;
    }
    heap[place] = timer;
    timer.place = place;
  }

  #sink(timer: Timer, from: number): void {
    const heap = this.#heap;
    let place = from;
    for (;;) {
      let child = 2 * place + 1;
      if (child >= heap.length) break;
      const right = child + 1;
      if (right < heap.length && before(heap[right] as Timer, heap[child] as Timer)) child = right;
      const least = heap[child] as Timer;
      if (!before(least, timer)) break;
      heap[place] = least;
      least.place = place;
      place = child;
    }
    heap[place] = timer;
    timer.place = place;
  }
}

/** The longest delay that hosts take; beyond it they fire at once. */
const MAX_DELAY_MS = 2 ** 31 - 1;

/** A {@link TimerQueue} driven by one `setTimeout` at a time. */
export class HostTimers {
  readonly #queue = new TimerQueue();
  #host: ReturnType<typeof setTimeout> | undefined;
  #armedForMs = Infinity;
  #armedBy: unknown;
  readonly #fire = (): void => this.#runDue();

  constructor(private readonly now: () => number) {}

  set(fn: () => void, dueMs: number): unknown {
    const timer = this.#queue.set(fn, dueMs);
    // Tests put fake timers in the place of `setTimeout` and take them away, and what they armed with them.
    if (dueMs < this.#armedForMs || (this.#armedBy !== setTimeout && dueMs < Infinity)) this.#arm();
    return timer;
  }

  /** Leaves the host timer alone: it finds nothing due and arms itself for the next, at less than its own clearing. */
  clear(timer: unknown): void {
    this.#queue.clear(timer);
  }

  #arm(): void {
    clearTimeout(this.#host);
    this.#armedBy = setTimeout;
    this.#armedForMs = this.#queue.nextDueMs;
    const delayMs = Math.min(MAX_DELAY_MS, Math.max(1, Math.ceil(this.#armedForMs - this.now())));
    this.#host = setTimeout(this.#fire, delayMs);
    // In browsers it is a number.
    (this.#host as { unref?: () => void }).unref?.();
  }

  #runDue(): void {
    this.#armedForMs = Infinity;
    try {
      const now = this.now();
      for (let fn = this.#queue.takeDue(now); fn !== undefined; fn = this.#queue.takeDue(now)) fn();
    } finally {
      // Also after a timer's function threw: the ones behind it must still run. Hosts fire up to 1 ms early.
      if (this.#queue.nextDueMs < this.#armedForMs) this.#arm();
    }
  }
}

/**
 * Keeps the host's event loop alive while somebody waits for another thread: the one use of a timer that does, since a
 * wait that only another thread can end (`Atomics.waitAsync`) is no reason for the host to stay.
 */
export class HostHold {
  #host: ReturnType<typeof setInterval> | undefined;

  hold(): void {
    this.#host ??= setInterval(() => {}, MAX_DELAY_MS);
  }

  release(): void {
    clearInterval(this.#host);
    this.#host = undefined;
  }
}
