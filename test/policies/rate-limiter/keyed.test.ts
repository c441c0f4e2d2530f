import { keyedRateLimiter, type RateLimiter, rateLimiter } from 'evenkeel';
import { manualClock, seededRandom } from 'evenkeel/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Recency } from '../../../src/policies/rate-limiter/recency.js';
import { limits, scenarios } from './arrivals.js';

describe('keyedRateLimiter', () => {
  it('counts each key as a counter of its own does, while there is room for all', () => {
    const key = fc.oneof(fc.constantFrom('', 'a', 'b', '\u0000', 'é', undefined), fc.string({ maxLength: 3 }));
    fc.assert(
      fc.property(
        scenarios({ backwards: false }),
        limits,
        fc.infiniteStream(key),
        ({ windowMs, startMs, arrivals }, limit, keys) => {
          const clock = manualClock(startMs);
          const limiter = keyedRateLimiter({ limit, windowMs, maxKeys: 120, clock });
          const alone = new Map<string | undefined, RateLimiter>();
          for (const { afterMs, cost } of arrivals) {
            const key = keys.next().value as string | undefined;
            if (!alone.has(key)) alone.set(key, rateLimiter({ limit, windowMs, algorithm: 'counter', clock }));
            const its = alone.get(key) as RateLimiter;
            clock.jump(afterMs);
            const ctx = { key: key as string, cost };
            expect(limiter.retryAfterMs(ctx)).toBe(its.retryAfterMs({ cost }));
            expect(limiter.tryAcquire(ctx)).toBe(its.tryAcquire({ cost }));
            expect(limiter.peek(key)).toEqual(its.snapshot());
          }
        },
      ),
    );
  });

  it('evicts only when full, and never a key after which fewer than maxKeys / 2 others were used', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 70 }),
        fc.integer({ min: 1, max: 3 }),
        fc.integer({ min: 1, max: 1_000 }),
        (maxKeys, crowd, seed) => {
          const random = seededRandom(seed);
          const clock = manualClock();
          const limiter = keyedRateLimiter({ limit: 1e6, windowMs: 1e9, maxKeys, clock, random });
          /** What each key has been counted since it last had to begin anew, and the others used since its last use. */
          const model = new Map<string, { count: number; others: Set<string> }>();
          for (let i = 0; i < 500; i++) {
            // A few in use all the time, a crowd, and some that are never seen again.
            const roll = random();
            const one = Math.floor(random() ** 3 * crowd * maxKeys);
            const key = roll < 0.7 ? `user ${one}` : roll < 0.8 ? `hot ${one % 3}` : `invented ${i}`;
            const its = model.get(key) ?? { count: 0, others: new Set<string>() };
            const { used } = limiter.peek(key);
            const kept = model.size <= maxKeys || its.others.size < Math.floor(maxKeys / 2);
            if (kept || used !== 0) expect([key, used]).toEqual([key, its.count]);
            else its.count = 0;
            expect(limiter.tryAcquire({ key })).toBe(true);
            its.count++;
            its.others.clear();
            model.set(key, its);
            for (const [name, { others }] of model) if (name !== key) others.add(key);
            expect(limiter.peek(key).used).toBe(its.count);
            expect(limiter.snapshot().keys).toBe(Math.min(model.size, maxKeys));
          }
        },
      ),
      { numRuns: 30 },
    );
  });

  it('keeps the count of a key in use whatever an attacker invents', () => {
    const limiter = keyedRateLimiter({ limit: 5, windowMs: 1e9, maxKeys: 1_000, clock: manualClock() });
    for (let i = 0; i < 5; i++) limiter.tryAcquire({ key: 'in use' });
    for (let i = 0; i < 20_000; i++) {
      limiter.tryAcquire({ key: `invented ${i}` });
      if (i % 499 === 498) expect(limiter.tryAcquire({ key: 'in use' })).toBe(false);
    }
    expect(limiter.snapshot().keys).toBe(1_000);
    expect(limiter.peek('in use').used).toBe(5);
  });

  it('refuses no key because another is hot', () => {
    const limiter = keyedRateLimiter({ limit: 2, windowMs: 1_000, maxKeys: 50, clock: manualClock() });
    for (let i = 0; i < 5_000; i++) {
      expect(limiter.tryAcquire({ key: 'hot' })).toBe(i < 2);
      expect(limiter.tryAcquire({ key: `quiet ${i}` })).toBe(true);
    }
  });

  it('does not give a key a place for a call that can never be admitted', () => {
    const limiter = keyedRateLimiter({ limit: 2, windowMs: 1_000, maxKeys: 50 });
    for (let i = 0; i < 100; i++) expect(limiter.tryAcquire({ key: `key ${i}`, cost: 3 })).toBe(false);
    expect(limiter.snapshot().keys).toBe(0);
  });

  it('works with a single key to keep', () => {
    const limiter = keyedRateLimiter({ limit: 2, windowMs: 1_000, maxKeys: 1, clock: manualClock() });
    for (let i = 0; i < 100; i++) {
      const key = `key ${i >> 2}`;
      expect(limiter.peek(key).used).toBe(Math.min(2, i % 4));
      expect(limiter.tryAcquire({ key })).toBe(i % 4 < 2);
    }
  });
});

describe('Recency', () => {
  it('protects what was used in this epoch or the last, and finds what was not', () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.integer({ min: 2, max: 100 }), fc.integer({ min: 1_000, max: 5_000 })),
        fc.integer({ min: 1, max: 1_000 }),
        fc.boolean(),
        (slots, seed, isAttack) => {
          const random = seededRandom(seed);
          const epoch = Math.floor(slots / 2);
          const recency = new Recency(slots, epoch);
          let used = new Set<number>();
          let last = new Set<number>();
          const use = (slot: number): void => {
            if (!used.has(slot) && used.size >= epoch) [used, last] = [new Set(), used];
            used.add(slot);
            recency.use(slot);
          };
          for (let i = 0; i < 4 * slots; i++) {
            if (isAttack || random() < 0.3) {
              if (used.size >= epoch) [used, last] = [new Set(), used];
              const free = recency.unprotected();
              // An `expect` each would take seconds.
              if (!(free >= 0 && free < slots)) expect.fail(`no slot: ${free} of ${slots}`);
              if (used.has(free) || last.has(free)) expect.fail(`a protected slot: ${free}`);
              use(free);
            } else {
              use(Math.floor(random() ** 2 * slots));
            }
          }
        },
      ),
      { numRuns: 30 },
    );
  });
});
