import type { Clock, Context, Gate, Tier } from 'evenkeel';

/** A request that a client sends. */
export interface Request {
  at: number;
  tier?: Tier;
  key?: string;
}

export interface Queue {
  workers?: number;
  /** How long a worker takes for what it starts at `at`. */
  serviceMs: (at: number) => number;
  /** How many may wait; one more is turned away. @default Infinity */
  room?: number;
  /** Asked when a request arrives. */
  atDoor?: Gate;
  /** Asked when a worker takes a request off the queue. */
  atWorker?: Gate;
  /** Clients give up after it, and the worker then stops. Without it the work goes on though nobody waits. */
  abortsAfterMs?: number;
  untilMs: number;
}

export type Fate = 'refused at the door' | 'no room' | 'refused by the worker' | 'served' | 'given up' | 'waiting';

export interface Served extends Request {
  fate: Fate;
  startedAt: number;
  endedAt: number;
}

/** A clock that is set by hand and has no timers. */
export function steppedClock(): Clock & { at: number } {
  const none = (): never => {
    throw new Error('gates set no timers');
  };
  const clock = { at: 0, now: () => clock.at, setTimer: none, clearTimer: none };
  return clock;
}

/**
 * A first-in-first-out queue in front of `workers`, in virtual time and without promises. `make` gets the clock and a
 * function that tells how full the queue is, 0 to 1.
 */
export function serve(requests: readonly Request[], make: (clock: Clock, fill: () => number) => Queue): Served[] {
  const clock = steppedClock();
  const waiting: Served[] = [];
  const working: { one: Served; ctx: Partial<Context>; endsAt: number; aborted: boolean }[] = [];
  const queue = make(clock, () => waiting.length / (queue.room ?? Infinity));
  const { workers = 1, room = Infinity, atDoor, atWorker, abortsAfterMs = Infinity, untilMs } = queue;
  const contextOf = ({ at, tier = 3, key }: Request): Partial<Context> => ({
    tier,
    key,
    clock,
    receivedAt: at,
    startedAt: clock.at,
  });

  const startWork = (): void => {
    while (working.length < workers && waiting.length > 0) {
      const one = waiting.shift() as Served;
      const ctx = contextOf(one);
      one.startedAt = clock.at;
      if (atWorker !== undefined && !atWorker.tryAcquire(ctx)) {
        one.fate = 'refused by the worker';
        atDoor?.release('ignored', clock.at - one.at, { ...ctx, startedAt: one.at });
        continue;
      }
      const doneAt = clock.at + queue.serviceMs(clock.at);
      const abortAt = Math.max(clock.at, one.at + abortsAfterMs);
      working.push({ one, ctx, endsAt: Math.min(doneAt, abortAt), aborted: abortAt < doneAt });
    }
  };
  const endWork = (untilAt: number): void => {
    for (;;) {
      const next = working.reduce<(typeof working)[number] | undefined>(
        (first, work) => (first === undefined || work.endsAt < first.endsAt ? work : first),
        undefined,
      );
      if (next === undefined || next.endsAt > untilAt) return;
      working.splice(working.indexOf(next), 1);
      clock.at = next.endsAt;
      const { one, ctx, aborted } = next;
      one.endedAt = clock.at;
      one.fate = aborted ? 'given up' : 'served';
      const verdict = aborted ? 'ignored' : 'success';
      atWorker?.release(verdict, clock.at - one.startedAt, ctx);
      atDoor?.release(verdict, clock.at - one.at, { ...ctx, startedAt: one.at });
      startWork();
    }
  };

  const all: Served[] = [];
  for (const request of requests) {
    endWork(request.at);
    clock.at = request.at;
    const one: Served = { ...request, fate: 'waiting', startedAt: NaN, endedAt: NaN };
    all.push(one);
    const ctx = contextOf(one);
    if (atDoor !== undefined && !atDoor.tryAcquire(ctx)) {
      one.fate = 'refused at the door';
    } else if (waiting.length >= room) {
      one.fate = 'no room';
      atDoor?.release('ignored', 0, ctx);
    } else {
      waiting.push(one);
      startWork();
    }
  }
  endWork(untilMs);
  return all;
}

/** Requests at even distances from `fromMs` on. */
export function evenly(perSecond: number, fromMs: number, untilMs: number): Request[] {
  const gap = 1_000 / perSecond;
  return Array.from({ length: Math.floor((untilMs - fromMs) / gap) }, (_, i) => ({ at: fromMs + i * gap }));
}

/** Requests at random, as those of many clients. */
export function poisson(perSecond: number, fromMs: number, untilMs: number, random: () => number): Request[] {
  const requests: Request[] = [];
  for (let at = fromMs; ; ) {
    at -= (Math.log(1 - random()) * 1_000) / perSecond;
    if (at >= untilMs) return requests;
    requests.push({ at });
  }
}

/** How many were answered within `timeoutMs`, by the time of the answer. */
export function inTime(served: readonly Served[], timeoutMs: number, fromMs: number, toMs: number): number {
  return served.filter(
    (one) => one.fate === 'served' && one.endedAt - one.at <= timeoutMs && one.endedAt >= fromMs && one.endedAt < toMs,
  ).length;
}
