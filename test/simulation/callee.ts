import type { CircuitBreaker, Clock } from 'evenkeel';
import { seededRandom } from 'evenkeel/testing';

/** Whether the callee takes a call that reaches it at `at`. Asked in order of time. */
export type Callee = (at: number) => boolean;

export interface Load {
  durationMs: number;
  perSecond: number;
  arrivals: 'constant' | 'poisson';
  /** Until the verdict on a call is known, which may depend on it. */
  latencyMs: number | ((taken: boolean) => number);
  /** Whether there are calls at all at a time. @default always */
  when?: (at: number) => boolean;
  seed: number;
  callee: Callee;
}

/** One call offered to the breaker. */
export interface Offered {
  at: number;
  sent: boolean;
  taken: boolean;
  /** What the breaker reported just before. */
  rejectProbability: number;
}

/** A callee that takes `perSecond` calls a second, with room for a tenth of a second's worth at once. */
export function limitedTo(perSecond: number): Callee {
  const room = perSecond / 10;
  let tokens = room;
  let last = 0;
  return (at) => {
    tokens = Math.min(room, tokens + ((at - last) * perSecond) / 1_000);
    last = at;
    if (tokens < 1) return false;
    tokens--;
    return true;
  };
}

/** `before` until `fromMs`, out of order from then on, `after` from `toMs` on. */
export function outage(fromMs: number, toMs: number, after: Callee = () => true): Callee {
  return (at) => (at < fromMs ? true : at >= toMs && after(at));
}

/** A clock that is set by hand and has no timers. */
function steppedClock(): Clock & { at: number } {
  const none = (): never => {
    throw new Error('the breaker sets no timers');
  };
  const clock = { at: 0, now: () => clock.at, setTimer: none, clearTimer: none };
  return clock;
}

/** Offers `load` to a breaker, call by call, in virtual time and without promises: a minute takes milliseconds. */
export function offer(make: (clock: Clock, random: () => number) => CircuitBreaker, load: Load): Offered[] {
  const random = seededRandom(load.seed);
  const clock = steppedClock();
  const breaker = make(clock, seededRandom(load.seed + 1_000_000));
  const gap = 1_000 / load.perSecond;
  const offered: Offered[] = [];
  const ending: { at: number; call: Offered }[] = [];
  let ended = 0;
  const endUntil = (until: number): void => {
    for (; ended < ending.length; ended++) {
      const { at, call } = ending[ended] as { at: number; call: Offered };
      if (at > until) return;
      clock.at = at;
      breaker.release(call.taken ? 'success' : 'failure', at - call.at, { startedAt: call.at });
    }
  };
  for (let at = gap; at < load.durationMs; at += load.arrivals === 'constant' ? gap : -Math.log(1 - random()) * gap) {
    endUntil(at);
    if (load.when?.(at) === false) continue;
    clock.at = at;
    const { rejectProbability } = breaker.snapshot();
    const call = { at, sent: breaker.tryAcquire({ startedAt: at }), taken: false, rejectProbability };
    offered.push(call);
    if (!call.sent) continue;
    call.taken = load.callee(at);
    const latencyMs = typeof load.latencyMs === 'number' ? load.latencyMs : load.latencyMs(call.taken);
    const place = ending.findLastIndex((other) => other.at <= at + latencyMs) + 1;
    ending.splice(Math.max(place, ended), 0, { at: at + latencyMs, call });
    endUntil(at);
  }
  return offered;
}

/** The most calls sent in any second that begins at `fromMs` or later. */
export function mostInASecond(calls: readonly Offered[], fromMs = 0): number {
  const sent = calls.filter((call) => call.sent && call.at >= fromMs);
  let most = 0;
  for (let first = 0, last = 0; last < sent.length; last++) {
    while ((sent[last] as Offered).at - (sent[first] as Offered).at > 1_000) first++;
    most = Math.max(most, last - first + 1);
  }
  return most;
}

/** The longest time without a call sent between `fromMs` and `toMs`. */
export function longestGap(calls: readonly Offered[], fromMs: number, toMs: number): number {
  const sent = calls.filter((call) => call.sent && call.at >= fromMs && call.at < toMs).map((call) => call.at);
  const times = [fromMs, ...sent, toMs];
  return Math.max(...times.slice(1).map((at, i) => at - (times[i] as number)));
}

/** Share of the calls between `fromMs` and `toMs` that were refused. */
export function refusedRatio(calls: readonly Offered[], fromMs: number, toMs: number): number {
  const inside = calls.filter((call) => call.at >= fromMs && call.at < toMs);
  return inside.filter((call) => !call.sent).length / inside.length;
}
