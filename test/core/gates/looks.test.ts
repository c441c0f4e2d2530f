/** A look (`snapshot`, `peek`, `retryAfterMs`, `reason` …) changes nothing and tells nobody anything. */
import {
  circuitBreaker,
  concurrencyLimiter,
  deadline,
  type Gate,
  keyed,
  keyedRateLimiter,
  type Observer,
  type ResilienceEvent,
  rateLimiter,
  tierShedder,
  type Verdict,
} from 'evenkeel';
import { type ManualClock, manualClock, seededRandom } from 'evenkeel/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

interface Common {
  clock: ManualClock;
  observer: Observer;
  random: () => number;
}
type Looked = Gate & { snapshot(): unknown; peek?(key?: string): unknown; entries?(): Iterable<unknown> };

const GATES: Record<string, (common: Common) => Looked> = {
  'a breaker, fast': (common) => circuitBreaker({ ...common, windowMs: 300, minRequests: 2 }),
  'a breaker, sre': (common) => circuitBreaker({ ...common, windowMs: 300, minRequests: 2, recovery: 'sre' }),
  'a quota by log': (common) => rateLimiter({ ...common, limit: 3, windowMs: 100, algorithm: 'log' }),
  'a quota by buckets': (common) => rateLimiter({ ...common, limit: 3, windowMs: 100, buckets: 4 }),
  'a quota by counters': (common) => rateLimiter({ ...common, limit: 3, windowMs: 100, algorithm: 'counter' }),
  'a quota a key': (common) => keyedRateLimiter({ ...common, limit: 3, windowMs: 100, maxKeys: 2 }),
  'a concurrency limiter': (common) => concurrencyLimiter({ ...common, load: () => 1, maxLimit: 3, windowMs: 300 }),
  'a fixed limit': (common) => concurrencyLimiter({ ...common, load: () => 1, minLimit: 2, maxLimit: 2 }),
  'a deadline': (common) => deadline({ ...common, maxAgeMs: 50 }),
  'a tier shedder': (common) => tierShedder({ ...common, load: () => 0.9, windowMs: 300, hour: () => 1 }),
  'a breaker a key': (common) => keyed(() => circuitBreaker({ ...common, minRequests: 2 }), { maxKeys: 2 }),
};

const steps = fc.array(
  fc.record({
    afterMs: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 40 }), fc.integer({ min: 0, max: 2_000 })),
    /** How long the call waited before it came to the gate. */
    waitedMs: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 60 })),
    key: fc.constantFrom('a', 'b', 'c', undefined),
    elapsedMs: fc.integer({ min: 0, max: 30 }),
    verdict: fc.constantFrom<Verdict>('success', 'failure', 'dropped', 'ignored'),
  }),
  { maxLength: 60 },
);

describe.each(Object.entries(GATES))('a look at %s', (_, make) => {
  it('changes nothing, and is told to nobody', () => {
    const play = (list: Parameters<Parameters<typeof steps.filter>[0]>[0], looks: boolean): unknown => {
      const clock = manualClock(5_000);
      const events: ResilienceEvent[] = [];
      const gate = make({ clock, observer: (event) => events.push(event), random: seededRandom(1) });
      const look = (): void => {
        if (!looks) return;
        const before = events.length;
        for (const key of ['a', 'b', undefined]) {
          gate.peek?.(key);
          gate.retryAfterMs({ startedAt: clock.now(), ...(key !== undefined && { key }), cost: 2 });
        }
        gate.retryAfterMs();
        const seen = [gate.snapshot(), gate.reason, gate.usesElapsed, [...(gate.entries?.() ?? [])].length];
        expect([gate.snapshot(), gate.reason, gate.usesElapsed, [...(gate.entries?.() ?? [])].length]).toEqual(seen);
        expect(events.length).toBe(before);
      };
      const taken = list.map(({ afterMs, waitedMs, key, elapsedMs, verdict }) => {
        clock.jump(afterMs);
        look();
        const ctx = { startedAt: clock.now() - waitedMs, receivedAt: clock.now() - 2 * waitedMs, key } as object;
        const admitted = gate.tryAcquire(ctx);
        look();
        clock.jump(elapsedMs);
        look();
        if (admitted) gate.release(verdict, elapsedMs, ctx);
        return admitted;
      });
      return { taken, events, seen: gate.snapshot(), advice: gate.retryAfterMs({ key: 'a' }) };
    };
    fc.assert(
      fc.property(steps, (list) => {
        expect(play(list, true)).toEqual(play(list, false));
      }),
      { numRuns: 200 },
    );
  });
});

it('the next call finds a breaker closed, and that is when it is told', () => {
  const clock = manualClock();
  const events: ResilienceEvent[] = [];
  const breaker = circuitBreaker({ clock, observer: (event) => events.push(event) });
  for (let i = 0; i < 10; i++) {
    breaker.tryAcquire();
    breaker.release('failure', 0);
  }
  events.length = 0;
  clock.jump(60_000);
  expect(breaker.snapshot()).toEqual({ requests: 0, accepts: 0, rejectProbability: 0, state: 'closed' });
  expect(events).toEqual([]);
  clock.jump(1_000);
  breaker.tryAcquire();
  expect(events).toMatchObject([{ type: 'circuit_state', state: 'closed', at: 61_000 }]);
});
