import { keyedRateLimiter, rateLimiter } from 'evenkeel';
import { manualClock } from 'evenkeel/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Call, counted, limits, Rig, scenarios, worst } from './arrivals.js';

/** What the calls of the aligned window number `window` have added up to. */
const inWindow = (calls: readonly Call[], window: number, windowMs: number): number =>
  counted(calls)
    .filter(({ at }) => Math.floor(at / windowMs) === window)
    .reduce((total, { cost }) => total + cost, 0);

describe('counter', () => {
  it('is previous · (1 − f) + current, from a list of all calls', () => {
    fc.assert(
      fc.property(
        scenarios({ backwards: true }),
        limits,
        fc.infiniteStream(fc.nat(9)),
        ({ windowMs, startMs, arrivals }, limit, dice) => {
          const rig = new Rig({ limit, windowMs, algorithm: 'counter' }, startMs);
          for (const arrival of arrivals) {
            const last = counted(rig.calls).at(-1);
            if (last !== undefined && dice.next().value === 0) rig.ignore(last);
            const earlier = [...rig.calls];
            const { at, cost, admitted } = rig.call(arrival);
            const window = Math.floor(at / windowMs);
            const previous = inWindow(earlier, window - 1, windowMs);
            const used = previous * (1 - (at / windowMs - window)) + inWindow(earlier, window, windowMs);
            expect(admitted).toBe(used + cost <= limit);
            expect(rig.limiter.snapshot().used).toBeCloseTo(admitted ? used + cost : used, 9);
          }
        },
      ),
    );
  });

  it('has at most limit · (1 + f) in the window up to the fraction f of an aligned one, and limit in an aligned one', () => {
    fc.assert(
      fc.property(scenarios({ backwards: true }), limits, ({ windowMs, startMs, arrivals }, limit) => {
        const rig = new Rig({ limit, windowMs, algorithm: 'counter' }, startMs);
        for (const arrival of arrivals) {
          const { at } = rig.call(arrival);
          const fraction = at / windowMs - Math.floor(at / windowMs);
          const window = counted(rig.calls).filter((call) => call.at > at - windowMs);
          const used = window.reduce((total, { cost }) => total + cost, 0);
          expect(used).toBeLessThanOrEqual(limit * (1 + fraction) * (1 + 1e-9) + 1e-9);
          expect(used).toBeLessThan(2 * limit);
          expect(inWindow(rig.calls, Math.floor(at / windowMs), windowMs)).toBeLessThanOrEqual(limit);
        }
        for (const n of [1, 2, 5]) expect(worst(rig.calls, n * windowMs)).toBeLessThanOrEqual((n + 1) * limit);
      }),
    );
  });

  it('reaches 2 · limit − 1 by the adversary who comes at the very end of a window, and no more', () => {
    const limit = 100;
    const windowMs = 1_000;
    const limiter = rateLimiter({ limit, windowMs, algorithm: 'counter', clock: manualClock() });
    const calls: Call[] = [];
    const come = (at: number): void => {
      calls.push({ at, cost: 1, admitted: limiter.tryAcquire({ startedAt: at }), ignored: false });
    };
    for (let i = 0; i < 200; i++) come(999.9);
    for (let at = 1_000; at < 1_999.9; at += 0.1) come(at);
    expect(worst(calls, windowMs)).toBe(2 * limit - 1);
  });

  it('refuses nothing when this and the previous aligned window together have room', () => {
    fc.assert(
      fc.property(scenarios({ backwards: true }), limits, ({ windowMs, startMs, arrivals }, limit) => {
        const rig = new Rig({ limit, windowMs, algorithm: 'counter' }, startMs);
        for (const arrival of arrivals) {
          const earlier = [...rig.calls];
          const { at, cost, admitted } = rig.call(arrival);
          const window = Math.floor(at / windowMs);
          const held = inWindow(earlier, window, windowMs) + inWindow(earlier, window - 1, windowMs);
          if (held + cost <= limit) expect(admitted).toBe(true);
        }
      }),
    );
  });

  it('may refuse with nothing in (t − W, t]: the price of two numbers', () => {
    const limiter = rateLimiter({ limit: 100, windowMs: 1_000, algorithm: 'counter', clock: manualClock() });
    for (let i = 0; i < 100; i++) expect(limiter.tryAcquire({ startedAt: 0 })).toBe(true);
    expect(limiter.tryAcquire({ startedAt: 1_000.1 })).toBe(false);
    expect(limiter.tryAcquire({ startedAt: 1_010 })).toBe(true);
  });

  it('takes back from the window that the call was counted in', () => {
    const clock = manualClock(500);
    const limiter = rateLimiter({ limit: 10, windowMs: 1_000, algorithm: 'counter', clock });
    for (let i = 0; i < 4; i++) limiter.tryAcquire();
    clock.jump(1_000);
    limiter.tryAcquire({ cost: 3 });
    expect(limiter.snapshot().used).toBe(4 / 2 + 3);
    limiter.release('ignored', 1_000);
    expect(limiter.snapshot().used).toBe(3 / 2 + 3);
    limiter.release('ignored', 0, { cost: 3 });
    expect(limiter.snapshot().used).toBe(3 / 2);
    // Long gone: there is nothing left to take back.
    clock.jump(1_000);
    limiter.tryAcquire();
    limiter.release('ignored', 2_000);
    expect(limiter.snapshot().used).toBe(1);
  });
});

describe.each([
  ['counter', (options: { limit: number; windowMs: number }) => rateLimiter({ ...options, algorithm: 'counter' })],
  ['keyedRateLimiter', (options: { limit: number; windowMs: number }) => keyedRateLimiter({ ...options, maxKeys: 2 })],
])('%s', (_, make) => {
  it('retryAfterMs: waiting so long admits, waiting noticeably less does not', () => {
    fc.assert(
      fc.property(
        scenarios({ backwards: true }),
        limits,
        fc.double({ min: 0, max: 0.999_999, noNaN: true }),
        ({ windowMs, startMs, arrivals }, limit, share) => {
          const limiter = make({ limit, windowMs });
          let now = startMs;
          for (const { afterMs, cost } of arrivals) {
            now += afterMs;
            if (limiter.tryAcquire({ startedAt: now, cost, key: 'a' })) continue;
            const waitMs = limiter.retryAfterMs({ startedAt: now, cost, key: 'a' });
            if (cost > limit) {
              expect(waitMs).toBe(Infinity);
              continue;
            }
            expect(waitMs).toBeGreaterThan(0);
            // The rounding of t / W is some 10^-16 of t.
            const early = Math.min(now + waitMs * share, now + waitMs - now * 1e-14 - windowMs * 1e-12);
            if (early > now) expect(limiter.tryAcquire({ startedAt: early, cost, key: 'a' })).toBe(false);
            expect(limiter.tryAcquire({ startedAt: now + waitMs, cost, key: 'a' })).toBe(true);
            return;
          }
        },
      ),
      { numRuns: 1_000 },
    );
  });
});
