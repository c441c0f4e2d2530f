/** A minute of one set: its share of the users, the gates before its callee, and that callee, all in virtual time. */
import { type Clock, circuitBreaker, keyedRateLimiter, type Tier, tierShedder } from 'evenkeel';
import { seededRandom } from 'evenkeel/testing';
import { type Counts, noCounts } from './counts.js';
import type { Order } from './orders.js';

/** Requests that a set is offered a second, in a rush and in quiet times; rush and quiet take turns. */
const RUSH_RATE = 200_000;
const QUIET_RATE = 50_000;
const PHASE_S = 5;
/** Also the most that an order may have. */
export const REQUESTS_A_MINUTE = 30 * (RUSH_RATE + QUIET_RATE);
/** What its callee takes a second, and how much may wait there. */
const CAPACITY = 100_000;
const ROOM = 10_000;
/** The callee is down in these seconds of each minute. */
const OUTAGE = { from: 1, to: 11 };
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

/** The users of a set: of all of them every so manieth. */
export const usersOf = ({ users, sets, place }: Pick<Order, 'users' | 'sets' | 'place'>): readonly string[] =>
  Array.from({ length: Math.ceil((users - place) / sets) }, (_, i) => `user-${place + i * sets}`);

/** Begins each minute afresh, so that what comes of an order depends on the order alone. */
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
  /** Requests of this minute and before, but for whole turns of all users. */
  #offered: number;
  /** How many seconds of the minute have begun. */
  #second = 0;
  #nextSecondAt: number;
  #gapMs = 0;

  /** @param users {@link usersOf} the order */
  constructor(users: readonly string[], { seed, sets, place, minute }: Omit<Order, 'users' | 'offered'>) {
    this.#users = users;
    const random = seededRandom((seed * sets + place) * 2 ** 32 + minute);
    // Odd, and so never 0.
    this.#state = Math.floor(random() * 2 ** 32) | 1;
    this.#offered = (minute * REQUESTS_A_MINUTE) % (users.length * SHAKES);
    const clock = this.#clock;
    const callee = this.#callee;
    clock.time = this.#nextSecondAt = minute * 60_000;
    this.#gates = [
      tierShedder({
        clock,
        random,
        load: () => callee.fullness(clock.time),
        hour: () => Math.floor(clock.time / 3_600_000),
      }),
      keyedRateLimiter({ clock, random, limit: USER_LIMIT, windowMs: USER_WINDOW_MS, maxKeys: users.length }),
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
      if (clock.time >= this.#nextSecondAt) this.#beginSecond();
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

  #beginSecond(): void {
    const second = this.#second++;
    this.#nextSecondAt += 1_000;
    this.#gapMs = 1_000 / (Math.floor(second / PHASE_S) % 2 === 0 ? RUSH_RATE : QUIET_RATE);
    this.#callee.isDown = second >= OUTAGE.from && second < OUTAGE.to;
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
