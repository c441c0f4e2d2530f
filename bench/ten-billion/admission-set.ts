/** One set's share of the users, the gates before its callee, and that callee, all in virtual time. */
import { type Clock, circuitBreaker, keyedRateLimiter, type Tier, tierShedder } from 'evenkeel';
import { seededRandom } from 'evenkeel/testing';
import { type Counts, noCounts } from './counts.js';

/** Requests that a set is offered a second, in quiet times and in a rush; rush and quiet take turns. */
const QUIET_RATE = 50_000;
const RUSH_RATE = 200_000;
const PHASE_MS = 5_000;
/** What its callee takes a second, and how much may wait there. */
const CAPACITY = 100_000;
const ROOM = 10_000;
/** The callee is down in the third and fourth of so many phases. */
const OUTAGE_EVERY = 12;
const OUTAGE = { from: 2, to: 4 };
/** How often a user may ask, each so long. */
const USER_LIMIT = 5;
const USER_WINDOW_MS = 10_000;
/** People shake their phones for a moment, again and again: so many users at a time, each so often on average. */
const SHAKING = 8_192;
const SHAKES = 8;
/** The tier of a user: a tenth are of tier 1, and so on. */
const TIERS: readonly Tier[] = [1, 2, 2, 3, 3, 3, 3, 4, 4, 4];

/** Time is the count of what was offered. Nothing here waits. */
class CountedClock implements Clock {
  time = 0;

  now(): number {
    return this.time;
  }

  setTimer(): never {
    throw new Error('an admission decision sets no timer');
  }

  clearTimer(): void {}
}

/** A queue that is worked off evenly; counts what it gets. */
class Callee {
  reached = 0;
  isDown = false;
  #waiting = 0;
  #seenAt = 0;

  fullness(now: number): number {
    this.#waiting = Math.max(0, this.#waiting - ((now - this.#seenAt) * CAPACITY) / 1_000);
    this.#seenAt = now;
    return Math.min(1, this.#waiting / ROOM);
  }

  /** Whether it takes the call. */
  call(now: number): boolean {
    this.reached++;
    if (this.isDown || this.fullness(now) >= 1) return false;
    this.#waiting++;
    return true;
  }
}

export class AdmissionSet {
  readonly #clock = new CountedClock();
  readonly #callee = new Callee();
  readonly #users: readonly string[];
  readonly #gates: readonly [
    ReturnType<typeof tierShedder>,
    ReturnType<typeof keyedRateLimiter>,
    ReturnType<typeof circuitBreaker>,
  ];
  readonly #call = { startedAt: 0, receivedAt: 0, key: '', tier: 1 as Tier };
  #state: number;
  #offered = 0;
  /** How many phases have begun. */
  #phase = 0;
  #gapMs = 0;

  /** @param place which of the `sets` it is: of the `users` in all it has every so manieth. */
  constructor(users: number, place: number, sets: number, seed: number) {
    this.#users = Array.from({ length: Math.ceil((users - place) / sets) }, (_, i) => `user-${place + i * sets}`);
    // Odd, and so never 0.
    this.#state = 2 * (seed * sets + place) + 1;
    const clock = this.#clock;
    const random = seededRandom(this.#state);
    const callee = this.#callee;
    this.#gates = [
      tierShedder({
        clock,
        random,
        load: () => callee.fullness(clock.time),
        hour: () => Math.floor(clock.time / 3_600_000),
      }),
      keyedRateLimiter({ clock, random, limit: USER_LIMIT, windowMs: USER_WINDOW_MS, maxKeys: this.#users.length }),
      circuitBreaker({ clock, random }),
    ];
  }

  /** Offers so many requests, decides on each, and carries out what is admitted. */
  run(offered: number): Counts {
    const counts = noCounts();
    const [shedder, perUser, breaker] = this.#gates;
    const clock = this.#clock;
    const callee = this.#callee;
    const call = this.#call;
    const reachedBefore = callee.reached;
    for (let i = 0; i < offered; i++) {
      if (clock.time >= this.#phase * PHASE_MS) this.#beginPhase();
      clock.time += this.#gapMs;
      const now = clock.time;
      const user = this.#nextUser();
      call.startedAt = call.receivedAt = now;
      call.key = this.#users[user] as string;
      call.tier = TIERS[user % TIERS.length] as Tier;
      if (!shedder.tryAcquire(call)) {
        counts.refused.tier_shed++;
        continue;
      }
      if (!perUser.tryAcquire(call)) {
        counts.refused.rate_limited++;
        shedder.release('ignored', 0, call);
        continue;
      }
      if (!breaker.tryAcquire(call)) {
        counts.refused.circuit_open++;
        perUser.release('ignored', 0, call);
        shedder.release('ignored', 0, call);
        continue;
      }
      counts.admitted++;
      const verdict = callee.call(now) ? 'success' : 'failure';
      breaker.release(verdict, 0, call);
      perUser.release(verdict, 0, call);
      shedder.release(verdict, 0, call);
    }
    counts.offered += offered;
    counts.reached = callee.reached - reachedBefore;
    return counts;
  }

  #beginPhase(): void {
    this.#gapMs = 1_000 / (this.#phase % 2 === 0 ? QUIET_RATE : RUSH_RATE);
    const phase = this.#phase % OUTAGE_EVERY;
    this.#callee.isDown = phase >= OUTAGE.from && phase < OUTAGE.to;
    this.#phase++;
  }

  /** One of those who are shaking, whom the others join by and by. Random by xorshift32. */
  #nextUser(): number {
    let x = this.#state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#state = x;
    const joined = Math.floor(this.#offered++ / SHAKES) + Math.floor((x >>> 0) * 2 ** -32 * SHAKING);
    return joined % this.#users.length;
  }
}
