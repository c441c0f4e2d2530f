import { type Clock, type RateLimiter, type RateLimiterOptions, rateLimiter } from 'evenkeel';
import fc from 'fast-check';

export type Algorithm = NonNullable<RateLimiterOptions['algorithm']>;

/** A call: how long after the one before it, ms, and what it wants. Below 0 the clock steps back. */
export interface Arrival {
  afterMs: number;
  cost: number;
}

/** A call that has come, at the time that the limiter goes by. */
export interface Call {
  at: number;
  cost: number;
  admitted: boolean;
  ignored: boolean;
}

export const limits = fc.integer({ min: 1, max: 12 });
/** Whole numbers of ms, so that `t − W` has no rounding. */
export const windows = fc.constantFrom(1, 10, 100, 1_000, 60_000);
export const bucketCounts = fc.constantFrom(1, 2, 3, 10, 50);

/** Waits in windows: many at once, many within one window, some longer than all that is remembered. */
const gap = fc.oneof(
  { weight: 3, arbitrary: fc.constant(0) },
  { weight: 3, arbitrary: fc.double({ min: 0, max: 0.4, noNaN: true }) },
  { weight: 3, arbitrary: fc.constantFrom(0.1, 0.25, 0.5, 1, 2) },
  { weight: 1, arbitrary: fc.double({ min: 0, max: 3, noNaN: true }) },
);
const stepBack = fc.double({ min: -2, max: 0, noNaN: true });

/** Quarters add up without rounding. */
export const costs = fc.oneof(
  { weight: 4, arbitrary: fc.constant(1) },
  { weight: 1, arbitrary: fc.integer({ min: 1, max: 14 }) },
  { weight: 1, arbitrary: fc.integer({ min: 1, max: 20 }).map((quarters) => quarters / 4) },
);

export interface Scenario {
  windowMs: number;
  startMs: number;
  arrivals: Arrival[];
}

/** Calls at arbitrary times: at once, apart, and where `backwards` with clock steps back. */
export const scenarios = (given: { backwards: boolean; costs?: fc.Arbitrary<number> }): fc.Arbitrary<Scenario> =>
  fc
    .record({
      windowMs: windows,
      startMs: fc.constantFrom(0, 0.1, 12_345.678, 1e9 + 1 / 3),
      arrivals: fc.array(
        fc.record({
          afterMs: given.backwards ? fc.oneof({ weight: 5, arbitrary: gap }, { weight: 1, arbitrary: stepBack }) : gap,
          cost: given.costs ?? costs,
        }),
        // Its default would give ten at most, too few to fill and empty a limiter.
        { maxLength: 120, size: 'max' },
      ),
    })
    .map(({ windowMs, startMs, arrivals }) => ({
      windowMs,
      startMs,
      arrivals: arrivals.map(({ afterMs, cost }) => ({ afterMs: afterMs * windowMs, cost })),
    }));

/** A clock that is set, to the last bit. */
export class SetClock implements Clock {
  constructor(public time: number) {}
  now(): number {
    return this.time;
  }
  setTimer(): never {
    throw new Error('a limiter has no timers');
  }
  clearTimer(): void {}
}

/** A limiter on a clock of its own, and the calls that it has had. */
export class Rig {
  readonly clock: SetClock;
  readonly limiter: RateLimiter;
  readonly calls: Call[] = [];
  #latest = -Infinity;

  constructor(options: RateLimiterOptions, startMs: number) {
    this.clock = new SetClock(startMs);
    this.limiter = rateLimiter({ ...options, clock: this.clock });
  }

  /** The time that the limiter goes by. */
  get now(): number {
    return Math.max(this.#latest, this.clock.now());
  }

  call({ afterMs, cost }: Arrival): Call {
    this.clock.time += afterMs;
    this.#latest = this.now;
    const call = { at: this.now, cost, admitted: this.limiter.tryAcquire({ cost }), ignored: false };
    this.calls.push(call);
    return call;
  }

  /** Ends an admitted call that says nothing about the callee. */
  ignore(call: Call): void {
    this.limiter.release('ignored', 0, { startedAt: call.at, cost: call.cost });
    call.ignored = true;
  }
}

const sum = (calls: readonly Call[]): number => calls.reduce((total, { cost }) => total + cost, 0);

export const counted = (calls: readonly Call[]): Call[] => calls.filter((call) => call.admitted && !call.ignored);

/** What was counted in (to − lengthMs, to]. */
export const countedIn = (calls: readonly Call[], to: number, lengthMs: number): number =>
  sum(counted(calls).filter(({ at }) => at > to - lengthMs && at <= to));

/** The most that was counted in any half-open interval of `lengthMs`: one of those that end with a call is the worst. */
export const worst = (calls: readonly Call[], lengthMs: number): number =>
  Math.max(0, ...counted(calls).map(({ at }) => countedIn(calls, at, lengthMs)));
