import type { Clock, ConcurrencyLimiter, ConcurrencyLimiterOptions } from 'evenkeel';
import { concurrencyLimiter } from 'evenkeel';
import { seededRandom } from 'evenkeel/testing';

/** A callee of `workers`, first come first served, with more callers than it can ever serve. */
export interface Saturation {
  workers: number;
  serviceMs: number;
  serviceTimes: 'constant' | 'exponential';
  windows: number;
  windowMs?: number;
  /** From `atMs` on. */
  changes?: { atMs: number; workers?: number; serviceMs?: number; maxLimit?: number }[];
  /** How a call ends. @default success */
  verdict?: (at: number) => 'success' | 'failure' | 'dropped';
  options?: Omit<ConcurrencyLimiterOptions, 'queue'>;
  seed?: number;
}

/** A tenth of a window. */
export interface Slice {
  endMs: number;
  /** Mean, and its extremes. */
  inflight: number;
  mostInflight: number;
  /** Answers over what the callee could have given. */
  goodputRatio: number;
  /** Calls that the callee works on at a time: its capacity times its response time. */
  capacity: number;
  limit: number;
  minRttMs: number;
}

/** Events in order of time. */
class Agenda {
  readonly #times: number[] = [];
  readonly #values: number[] = [];

  get nextMs(): number {
    return this.#times[0] ?? Infinity;
  }

  add(at: number, value: number): void {
    const times = this.#times;
    const values = this.#values;
    let place = times.length;
    for (; place > 0; place = (place - 1) >> 1) {
      const above = (place - 1) >> 1;
      if ((times[above] as number) <= at) break;
      times[place] = times[above] as number;
      values[place] = values[above] as number;
    }
    times[place] = at;
    values[place] = value;
  }

  take(): number {
    const times = this.#times;
    const values = this.#values;
    const first = values[0] as number;
    const at = times.pop() as number;
    const value = values.pop() as number;
    const size = times.length;
    if (size === 0) return first;
    let place = 0;
    for (let child = 1; child < size; child = 2 * place + 1) {
      if (child + 1 < size && (times[child + 1] as number) < (times[child] as number)) child++;
      if ((times[child] as number) >= at) break;
      times[place] = times[child] as number;
      values[place] = values[child] as number;
      place = child;
    }
    times[place] = at;
    values[place] = value;
    return first;
  }
}

export interface SteppedClock extends Clock {
  at: number;
}

/** A clock that is set by hand and has no timers. */
export function steppedClock(): SteppedClock {
  const none = (): never => {
    throw new Error('the limiter sets no timers');
  };
  const clock = { at: 0, now: () => clock.at, setTimer: none, clearTimer: none };
  return clock;
}

/** Runs it in virtual time and without promises: a hundred windows take a second or so. */
export function saturate(scenario: Saturation): { slices: Slice[]; limiter: ConcurrencyLimiter; refused: number } {
  const { serviceTimes, windows, windowMs = 10_000, verdict = () => 'success' } = scenario;
  let { workers, serviceMs } = scenario;
  const random = seededRandom(scenario.seed ?? 1);
  const clock = steppedClock();
  const limiter = concurrencyLimiter({
    windowMs,
    load: () => 1,
    ...scenario.options,
    clock,
  });
  const changes = [...(scenario.changes ?? [])];
  const answers = new Agenda();
  const queue: number[] = [];
  const slices: Slice[] = [];
  const sliceMs = windowMs / 10;
  let head = 0;
  let busy = 0;
  let inflight = 0;
  let refused = 0;
  let slice = { area: 0, most: 0, answered: 0, possible: 0 };
  let callersAt = 1;

  const work = (startedAt: number): void => {
    busy++;
    answers.add(clock.at + serviceMs * (serviceTimes === 'constant' ? 1 : -Math.log(1 - random())), startedAt);
  };
  /** Callers try until one is refused; before there is a limit, a few times the capacity. */
  const call = (): void => {
    while (inflight < 5 * workers + 10) {
      if (!limiter.tryAcquire({ startedAt: clock.at })) {
        refused++;
        return;
      }
      inflight++;
      slice.most = Math.max(slice.most, inflight);
      if (busy < workers) work(clock.at);
      else queue.push(clock.at);
    }
  };
  const serveQueue = (): void => {
    while (busy < workers && head < queue.length) work(queue[head++] as number);
    if (head < 10_000) return;
    queue.splice(0, head);
    head = 0;
  };
  const moveTo = (at: number): void => {
    slice.area += inflight * (at - clock.at);
    slice.possible += ((at - clock.at) * workers) / serviceMs;
    clock.at = at;
  };

  for (let endMs = sliceMs; endMs <= windows * windowMs + 1e-6; ) {
    const changeAt = changes[0]?.atMs ?? Infinity;
    const next = Math.min(answers.nextMs, callersAt, changeAt, endMs);
    moveTo(next);
    if (next === endMs) {
      const { limit, minRttMs } = limiter.snapshot();
      const { area, most, answered, possible } = slice;
      const means = { inflight: area / sliceMs, mostInflight: most, goodputRatio: answered / possible };
      slices.push({ endMs, ...means, capacity: workers, limit, minRttMs });
      slice = { area: 0, most: inflight, answered: 0, possible: 0 };
      endMs += sliceMs;
    } else if (next === changeAt) {
      const change = changes.shift();
      workers = change?.workers ?? workers;
      serviceMs = change?.serviceMs ?? serviceMs;
      if (change?.maxLimit !== undefined) limiter.update({ maxLimit: change.maxLimit });
      serveQueue();
    } else if (next === answers.nextMs) {
      const startedAt = answers.take();
      busy--;
      inflight--;
      slice.answered++;
      limiter.release(verdict(next), next - startedAt, { startedAt });
      serveQueue();
      call();
    } else {
      call();
      callersAt = next + Math.max(1, serviceMs / 20);
    }
  }
  return { slices, limiter, refused };
}

const mean = (figures: number[]): number => figures.reduce((sum, one) => sum + one, 0) / figures.length;

/** Means over each window from `fromWindow` on. */
export function byWindow(slices: readonly Slice[], fromWindow: number): { inflight: number; goodputRatio: number }[] {
  const windows = [];
  for (let i = fromWindow * 10; i + 10 <= slices.length; i += 10) {
    const of = slices.slice(i, i + 10);
    windows.push({
      inflight: mean(of.map((one) => one.inflight)),
      goodputRatio: mean(of.map((one) => one.goodputRatio)),
    });
  }
  return windows;
}

/** How far `inflight` may be from the capacity: 20 % of it, or one. */
export const tolerance = (capacity: number): number => Math.max(1, 0.2 * capacity) + 1e-9;
