/** Whatever happens to calls, nothing of them stays behind. */
import { getEventListeners, setMaxListeners } from 'node:events';
import {
  type Context,
  circuitBreaker,
  derive,
  dynamicTimeout,
  type Gate,
  keyed,
  type Policy,
  pipeline,
} from 'evenkeel';
import { manualClock, seededRandom } from 'evenkeel/testing';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { RecordingGate } from '../../simulation/recording-gate.js';

const CALLS = 100_000;
const CALLS_AT_ONCE = 500;

/** Counts its permits, and refuses or breaks now and then. */
function countingGate(name: string, random: () => number): Gate & { permitsInUse: number } {
  const runs = new RecordingGate(name, clock);
  return {
    name,
    clock,
    reason: 'rate_limited',
    permitsInUse: 0,
    tryAcquire() {
      const chance = random();
      if (chance < 0.01) throw new Error('broken gate');
      if (chance < 0.1) return false;
      this.permitsInUse++;
      return true;
    },
    release() {
      this.permitsInUse--;
      if (random() < 0.01) throw new Error('broken release');
    },
    retryAfterMs: () => {
      if (random() < 0.1) throw new Error('broken advice');
      return 1;
    },
    run: runs.run,
  };
}

const clock = manualClock();
let rejections: unknown[] = [];
const note = (error: unknown): void => {
  rejections.push(error);
};
beforeEach(() => {
  rejections = [];
  process.on('unhandledRejection', note);
});
afterEach(() => {
  process.off('unhandledRejection', note);
});

it(`permits, timers and listeners are back where they were after ${CALLS} calls of all kinds`, async () => {
  const random = seededRandom(2_024);
  const gates = [countingGate('a', random), countingGate('b', random), countingGate('c', random)] as const;
  const perKey = new Map<string | undefined, Gate & { permitsInUse: number }>();
  const byKey = keyed((key) => {
    const gate = countingGate(`key ${key}`, random);
    perKey.set(key, gate);
    return gate;
  });
  const retrying: Policy = {
    name: 'retrying',
    run: async (ctx, next) => {
      try {
        return await next(ctx);
      } catch (error) {
        if (random() < 0.5) throw error;
        return next(derive(ctx, { attempt: 1, startedAt: clock.now() }));
      }
    },
  };
  const hedging: Policy = {
    name: 'hedging',
    run: (ctx, next) => (random() < 0.9 ? next(ctx) : Promise.any([next(ctx), next(derive(ctx, { attempt: 2 }))])),
  };
  const breaker = circuitBreaker({ clock, random, windowMs: 500, k: 20 });
  const timeout = dynamicTimeout({ limitMs: 20, maxMs: 60, clock });
  const policies = pipeline(gates[0], breaker, byKey, retrying, timeout, gates[1], gates[2], hedging);

  const longLived = new AbortController();
  longLived.signal.addEventListener('abort', () => {});
  // Node warns of more than 10, which as many calls at once do have.
  setMaxListeners(0, longLived.signal);
  const later = (ms: number, end: () => unknown): Promise<unknown> =>
    new Promise((resolve, reject) => {
      clock.setTimer(() => {
        try {
          resolve(end());
        } catch (error) {
          reject(error);
        }
      }, ms);
    });
  const fail = (): never => {
    throw new Error('function failed');
  };
  const kinds: ((ctx: Context, caller: AbortController) => unknown)[] = [
    () => 1,
    fail,
    () => later(random() * 30, () => 1),
    () => later(random() * 30, fail),
    // Longer than the time limit, deaf to the signal.
    () => later(100, fail),
    () => new Promise(() => {}),
    (ctx) => new Promise((_, reject) => ctx.signal.addEventListener('abort', () => reject(ctx.signal.reason))),
    (_, caller) => caller.abort(),
    (ctx) => policies.execute(() => later(5, () => 1), ctx),
  ];
  const ends = { fulfilled: 0, rejected: 0 };
  let functionCalls = 0;
  for (let done = 0; done < CALLS; done += CALLS_AT_ONCE) {
    const calls = Array.from({ length: CALLS_AT_ONCE }, () => {
      const kind = kinds[Math.floor(random() * kinds.length)] as (typeof kinds)[number];
      const caller = new AbortController();
      const lot = random();
      const signal = lot < 0.5 ? longLived.signal : caller.signal;
      if (lot > 0.7) clock.setTimer(() => caller.abort(), random() * 80);
      const init = {
        ...(lot < 0.9 && { signal }),
        ...(random() < 0.7 && { key: `key ${Math.floor(random() * 20)}` }),
      };
      const fn = (ctx: Context): unknown => {
        functionCalls++;
        return kind(ctx, caller);
      };
      return random() < 0.5 ? policies.execute(fn, init) : policies.tryExecute(fn, init);
    });
    const settled = Promise.allSettled(calls);
    await clock.advance(250);
    for (const { status } of await settled) ends[status]++;
  }

  expect(ends.fulfilled + ends.rejected).toBe(CALLS);
  // The gates let enough through for all kinds of ends.
  expect(functionCalls).toBeGreaterThan(CALLS / 3);
  for (const count of Object.values(ends)) expect(count).toBeGreaterThan(CALLS / 10);
  expect(gates.map(({ name, permitsInUse }) => [name, permitsInUse])).toEqual([
    ['a', 0],
    ['b', 0],
    ['c', 0],
  ]);
  expect(perKey.size).toBeGreaterThan(20);
  for (const gate of perKey.values()) expect([gate.name, gate.permitsInUse]).toEqual([gate.name, 0]);
  expect(clock.waiting).toBe(0);
  expect(getEventListeners(longLived.signal, 'abort')).toHaveLength(1);
  expect(rejections).toEqual([]);
}, 60_000);
