/**
 * Timers in order of their time, many on one host timer: a host timer per call is most of what other libraries'
 * timeouts cost (`setTimeout` + `clearTimeout` 336 ns against 20 ns here, docs/performance.md).
 */
import {
  type Cancellable,
  type Clock,
  type HostTimer,
  hostNow,
  isSystemClock,
  MAX_DELAY_MS,
  mayKeepAlive,
  type TimerHandle,
  type TimerOptions,
} from './clock.js';

/**
 * What a {@link TimerQueue} holds: an object of its own for each timer, or one that its user has anyway, such as a call
 * with a time limit. `dueMs` and `keepAlive` must not change while it waits.
 */
export interface TimerNode {
  /** Its place in the heap, while it is there; the queue's. 0 at first. */
  place: number;
  /** Nodes due together fire in the order in which they were added; the queue's. 0 at first. */
  order: number;
  /** Clock ms; `Infinity` never fires. */
  dueMs: number;
  /** Whether the process stays alive until it has fired or is cleared. */
  keepAlive: boolean;
  fire(): void;
}

/** The node of a plain function. */
class Timer implements TimerNode, Cancellable {
  place = 0;
  order = 0;
  readonly dueMs: number;
  readonly keepAlive: boolean;
  fn: (() => void) | undefined;

  constructor(fn: () => void, dueMs: number, keepAlive: boolean) {
    this.dueMs = dueMs;
    this.keepAlive = keepAlive;
    this.fn = fn;
  }

  /** Keeps nothing of the function, as its handle may live on. */
  fire(): void {
    const fn = this.fn as () => void;
    this.fn = undefined;
    fn();
  }

  /** Called by the `clearTimer` of whichever copy's system clock. */
  cancel(): void {
    this.fn = undefined;
    hostTimers.clear(this);
  }
}

const before = (a: TimerNode, b: TimerNode): boolean => a.dueMs < b.dueMs || (a.dueMs === b.dueMs && a.order < b.order);

/** A binary heap that knows each node's place, so that clearing one needs no search and leaves nothing behind. */
export class TimerQueue {
  readonly #heap: TimerNode[] = [];
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
    return this.#heap.map((node) => node.dueMs).sort((a, b) => a - b);
  }

  set(fn: () => void, dueMs: number): TimerNode {
    const timer = new Timer(fn, dueMs, true);
    this.add(timer);
    return timer;
  }

  /** Adds a node that is not in a queue. One that is due at `Infinity` or `NaN` stays outside. */
  add(node: TimerNode): void {
    node.order = this.#order++;
    if (node.dueMs < Infinity) this.#rise(node, this.#heap.length);
  }

  /** Takes a node out; false where it is not in here, or is no node. */
  clear(node: unknown): boolean {
    const heap = this.#heap;
    const place = (node as TimerNode | undefined)?.place;
    if (place === undefined || heap[place] !== node) return false;
    const last = heap.pop() as TimerNode;
    if (last === node) return true;
    if (place > 0 && before(last, heap[(place - 1) >> 1] as TimerNode)) this.#rise(last, place);
    else this.#sink(last, place);
    return true;
  }

  /** Takes the next node out if it is due by `now`; its `fire` is for the caller to call. */
  takeDue(now: number): TimerNode | undefined {
    const first = this.#heap[0];
    if (first === undefined || first.dueMs > now) return undefined;
    this.clear(first);
    return first;
  }

  #rise(node: TimerNode, from: number): void {
    const heap = this.#heap;
    let place = from;
    while (place > 0) {
      const above = (place - 1) >> 1;
      const parent = heap[above] as TimerNode;
      if (!before(node, parent)) break;
      heap[place] = parent;
      parent.place = place;
      place = above;
    }
    heap[place] = node;
    node.place = place;
  }

  #sink(node: TimerNode, from: number): void {
    const heap = this.#heap;
    let place = from;
    for (;;) {
      let child = 2 * place + 1;
      if (child >= heap.length) break;
      const right = child + 1;
      if (right < heap.length && before(heap[right] as TimerNode, heap[child] as TimerNode)) child = right;
      const least = heap[child] as TimerNode;
      if (!before(least, node)) break;
      heap[place] = least;
      least.place = place;
      place = child;
    }
    heap[place] = node;
    node.place = place;
  }
}

/** The host's own as it is when this is loaded, as fake timers would hold the process; none in browsers. */
const nextTurn: ((fn: () => void) => unknown) | undefined = /* @__PURE__ */ (() =>
  (globalThis as { setImmediate?: (fn: () => void) => unknown }).setImmediate)();

/**
 * A {@link TimerQueue} driven by one `setTimeout` at a time. The host timer holds the process while a node waits that
 * keeps it alive.
 */
export class HostTimers {
  readonly #queue = new TimerQueue();
  readonly #now: () => number;
  readonly #afterTurn: ((fn: () => void) => unknown) | undefined;
  #host: HostTimer | undefined;
  #armedForMs = Infinity;
  #armedBy: unknown;
  /** Nodes that keep the process alive. */
  #keepers = 0;
  /** Whether the host timer does. */
  #holds = false;
  #checkIsDue = false;
  readonly #fire = (): void => this.#runDue();
  readonly #check = (): void => this.#letGo();

  /** @param afterTurn calls back after a turn of the event loop; undefined where no process is to be kept alive */
  constructor(now: () => number, afterTurn: ((fn: () => void) => unknown) | undefined) {
    this.#now = now;
    this.#afterTurn = afterTurn;
  }

  add(node: TimerNode): void {
    const { dueMs } = node;
    this.#queue.add(node);
    if (!(dueMs < Infinity)) return;
    if (node.keepAlive && ++this.#keepers === 1 && !this.#holds) this.#hold();
    // Tests put fake timers in the place of `setTimeout` and take them away, and what they armed with them.
    if (dueMs < this.#armedForMs || this.#armedBy !== setTimeout) this.#arm();
  }

  /** Leaves the host timer alone: it finds nothing due and arms itself for the next, at less than its own clearing. */
  clear(node: TimerNode): void {
    if (this.#queue.clear(node) && node.keepAlive && --this.#keepers === 0 && !this.#checkIsDue) this.#release();
  }

  #hold(): void {
    if (this.#host === undefined) return;
    this.#holds = true;
    this.#host.ref?.();
  }

  /**
   * Calls come one after another: the host is not told after each that no call waits, but after a turn of its event
   * loop in which none has followed.
   */
  #release(): void {
    if (!this.#holds || this.#afterTurn === undefined) return;
    this.#checkIsDue = true;
    this.#afterTurn(this.#check);
  }

  #letGo(): void {
    this.#checkIsDue = false;
    if (this.#keepers > 0) return;
    this.#holds = false;
    this.#host?.unref?.();
  }

  #arm(): void {
    clearTimeout(this.#host);
    this.#armedBy = setTimeout;
    this.#armedForMs = this.#queue.nextDueMs;
    const delayMs = Math.min(MAX_DELAY_MS, Math.max(1, Math.ceil(this.#armedForMs - this.#now())));
    this.#host = setTimeout(this.#fire, delayMs);
    this.#holds = this.#keepers > 0;
    if (!this.#holds) this.#host.unref?.();
  }

  #runDue(): void {
    this.#armedForMs = Infinity;
    this.#host = undefined;
    this.#holds = false;
    try {
      const now = this.#now();
      for (let node = this.#queue.takeDue(now); node !== undefined; node = this.#queue.takeDue(now)) {
        if (node.keepAlive && --this.#keepers === 0 && !this.#checkIsDue) this.#release();
        node.fire();
      }
    } finally {
      // Also after a timer's function threw: the ones behind it must still run. Hosts fire up to 1 ms early.
      if (this.#queue.nextDueMs < this.#armedForMs) this.#arm();
    }
  }
}

/** The timers of all calls that live by a system clock. */
export const hostTimers: HostTimers = /* @__PURE__ */ new HostTimers(hostNow, nextTurn);

const TIDIES_UP: TimerOptions = { keepAlive: false };

/**
 * Calls `fn` at clock time `dueMs`: by {@link hostTimers} where `clock` is a system clock, else by the clock itself.
 * `clock.clearTimer` clears it.
 *
 * @param keepAlive false = the timer only tidies up: the process may end before it fires
 */
export function timerAt(clock: Clock, fn: () => void, dueMs: number, keepAlive = true): TimerHandle {
  if (isSystemClock(clock)) {
    const timer = new Timer(fn, dueMs, keepAlive && mayKeepAlive(clock));
    hostTimers.add(timer);
    return timer;
  }
  const options = keepAlive ? undefined : TIDIES_UP;
  return clock.setTimerAt === undefined
    ? clock.setTimer(fn, dueMs - clock.now(), options)
    : clock.setTimerAt(fn, dueMs, options);
}

/**
 * Keeps the host's event loop alive while code waits for another thread: the one use of a timer that does, since a
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
