import { rateLimiter } from 'evenkeel';
import { manualClock, seededRandom } from 'evenkeel/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Algorithm, bucketCounts, counted, countedIn, limits, Rig, scenarios, worst } from './arrivals.js';

const EXACT: Algorithm[] = ['log', 'buckets'];

describe('log', () => {
  it('admits just the calls for which there is room in (t − W, t], also after some were taken back', () => {
    fc.assert(
      fc.property(scenarios({ backwards: false }), limits, fc.infiniteStream(fc.nat(9)), (scenario, limit, dice) => {
        const { windowMs, startMs, arrivals } = scenario;
        const rig = new Rig({ limit, windowMs, algorithm: 'log' }, startMs);
        for (const arrival of arrivals) {
          const roll = dice.next().value as number;
          const open = counted(rig.calls);
          if (roll === 0 && open.length > 0) rig.ignore(open[open.length >> 1] as (typeof open)[0]);
          const { admitted, cost } = rig.call(arrival);
          expect(admitted).toBe(countedIn([...rig.calls].slice(0, -1), rig.now, windowMs) + cost <= limit);
          const used = countedIn(rig.calls, rig.now, windowMs);
          expect(rig.limiter.snapshot()).toMatchObject({ used, remaining: Math.floor(limit - used) });
        }
      }),
    );
  });

  it('does the same with a clock that steps back: time stands still until it has caught up', () => {
    fc.assert(
      fc.property(scenarios({ backwards: true }), limits, ({ windowMs, startMs, arrivals }, limit) => {
        const rig = new Rig({ limit, windowMs, algorithm: 'log' }, startMs);
        for (const arrival of arrivals) {
          const earlier = [...rig.calls];
          const { admitted, cost, at } = rig.call(arrival);
          expect(admitted).toBe(countedIn(earlier, at, windowMs) + cost <= limit);
        }
      }),
    );
  });

  it('counts a call up to, and not at, W after it', () => {
    const clock = manualClock();
    const limiter = rateLimiter({ limit: 1, windowMs: 1_000, algorithm: 'log', clock });
    expect(limiter.tryAcquire()).toBe(true);
    clock.jump(999.999);
    expect(limiter.tryAcquire()).toBe(false);
    clock.jump(1_000 - clock.now());
    expect(limiter.tryAcquire()).toBe(true);
  });

  it('adds up fractions for ever as if nothing were ever rounded but the result', () => {
    const random = seededRandom(1);
    const windowMs = 30;
    const limiter = rateLimiter({ limit: 10, windowMs, algorithm: 'log', clock: manualClock() });
    /** Tenths, as near as binary numbers come to them, are whole multiples of 2^-56. */
    const exact = (x: number): bigint => BigInt(x * 2 ** 56);
    const admissions: bigint[] = [];
    let refused = 0;
    for (let at = 0; at < 10_000; at++) {
      const cost = (1 + Math.floor(random() * 9)) / 10;
      const used = admissions.slice(-windowMs + 1).reduce((total, one) => total + one, 0n);
      const admitted = limiter.tryAcquire({ cost, startedAt: at });
      expect([at, admitted]).toEqual([at, Number(used + exact(cost)) / 2 ** 56 <= 10]);
      admissions.push(admitted ? exact(cost) : 0n);
      if (!admitted) refused++;
    }
    expect(refused).toBeGreaterThan(500);
  });

  it.each([-1e6, 0, 12_345])(
    'holds hundreds of calls as it holds a few, and gives back any of them, from %s ms on',
    (startMs) => {
      const random = seededRandom(startMs);
      const clock = manualClock(startMs);
      const [limit, windowMs] = [400, 1_000];
      const limiter = rateLimiter({ limit, windowMs, algorithm: 'log', clock });
      let counted: { startedAt: number; cost: number }[] = [];
      let most = 0;
      for (let i = 0; i < 4_000; i++) {
        // Now and then nobody calls for so long that nothing is left, and once for ever longer than the limit lets one.
        clock.jump(i % 1_500 === 1_499 ? 2 * windowMs : Math.floor(random() * 4));
        const call = { startedAt: clock.now(), cost: random() < 0.1 ? 3 : 1 };
        counted = counted.filter(({ startedAt }) => startedAt > call.startedAt - windowMs);
        const used = counted.reduce((total, { cost }) => total + cost, 0);
        const admitted = limiter.tryAcquire(call);
        if (admitted !== used + call.cost <= limit) expect([i, used, admitted]).toBe('otherwise');
        if (admitted) counted.push(call);
        // In the first third so few that it only grows, in the last so many that there are gaps all over.
        if (random() < i / 6_000) {
          for (const gone of counted.splice(Math.floor(random() * counted.length), 1))
            limiter.release('ignored', 0, gone);
        }
        const left = counted.reduce((total, { cost }) => total + cost, 0);
        const resetMs = counted.length === 0 ? 0 : (counted[0]?.startedAt ?? 0) + windowMs - clock.now();
        const now = limiter.snapshot();
        if (now.used !== left || now.resetMs !== resetMs) expect([i, now]).toEqual([i, { used: left, resetMs }]);
        most = Math.max(most, counted.length);
      }
      expect(most).toBeGreaterThan(300);
    },
  );

  it('gives back where the call is; where its time is unknown, from what began last, then from what began first', () => {
    const clock = manualClock();
    const limiter = rateLimiter({ limit: 10, windowMs: 100, algorithm: 'log', clock });
    for (const startedAt of [10, 20, 30, 40]) limiter.tryAcquire({ startedAt, cost: 2 });
    clock.jump(50);
    const usedAt = (at: number): number => {
      clock.jump(at - clock.now());
      return limiter.snapshot().used;
    };
    limiter.release('ignored', 0, { startedAt: 20 });
    limiter.release('ignored', 0, { startedAt: 31 });
    limiter.release('ignored', 0);
    expect([usedAt(109), usedAt(110), usedAt(120), usedAt(130), usedAt(140)]).toEqual([5, 4, 3, 1, 0]);
  });

  it('remembers no more than what is counted, whatever was taken back', () => {
    const clock = manualClock();
    const limiter = rateLimiter({ limit: 10, windowMs: 1_000_000, algorithm: 'log', clock });
    expect(limiter.tryAcquire()).toBe(true);
    clock.jump(1);
    const before = process.memoryUsage().arrayBuffers;
    const open: number[] = [];
    let refused = 0;
    for (let i = 0; i < 60_000; i++) {
      clock.jump(1);
      if (!limiter.tryAcquire()) refused++;
      open.push(clock.now());
      // First in, first out, so that what is taken back lies in the middle.
      if (open.length > 5) limiter.release('ignored', 0, { startedAt: open.shift() as number });
    }
    expect(refused).toBe(0);
    expect(limiter.snapshot()).toMatchObject({ used: 6, remaining: 4 });
    // 60,000 entries would be 1 MB.
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(250_000);
  });
});

describe('buckets', () => {
  const buckets = bucketCounts;

  it('never have more than the limit in any window, whatever its phase', () => {
    fc.assert(
      fc.property(
        scenarios({ backwards: true }),
        limits,
        buckets,
        fc.infiniteStream(fc.nat(9)),
        ({ windowMs, startMs, arrivals }, limit, buckets, dice) => {
          const rig = new Rig({ limit, windowMs, buckets }, startMs);
          for (const arrival of arrivals) {
            rig.call(arrival);
            const open = counted(rig.calls);
            if (dice.next().value === 0 && open.length > 0) rig.ignore(open[open.length >> 1] as (typeof open)[0]);
            expect(worst(rig.calls, windowMs)).toBeLessThanOrEqual(limit);
          }
        },
      ),
    );
  });

  it('refuse only what would not fit into W + W / B', () => {
    fc.assert(
      fc.property(scenarios({ backwards: false }), limits, buckets, (scenario, limit, buckets) => {
        const { windowMs, startMs, arrivals } = scenario;
        const rig = new Rig({ limit, windowMs, buckets }, startMs);
        for (const arrival of arrivals) {
          const earlier = [...rig.calls];
          const { admitted, cost, at } = rig.call(arrival);
          const longer = windowMs + windowMs / buckets;
          // A hair more, for the rounding of W / B.
          if (!admitted) expect(countedIn(earlier, at, longer * (1 + 1e-9) + 1e-6) + cost).toBeGreaterThan(limit);
        }
      }),
    );
  });

  it.each([
    ['exactly the limit', 1],
    ['a hundred times the limit', 100],
  ])('under a constant load of %s at least (B − 1) / B of it goes through', (_, times) => {
    const load = fc.record({ limit: fc.integer({ min: 2, max: 60 }), buckets: fc.constantFrom(2, 3, 10, 20) });
    fc.assert(
      fc.property(load, fc.double({ min: 0, max: 1, noNaN: true }), ({ limit, buckets }, phase) => {
        // Whole numbers: a call that is early by the rounding of a sum is refused, as it should be.
        const gapMs = 2;
        const windowMs = limit * times * gapMs;
        const startMs = Math.floor(phase * windowMs);
        const limiter = rateLimiter({ limit, windowMs, buckets, clock: manualClock(startMs) });
        let admitted = 0;
        const count = 6 * limit * times;
        for (let i = 0; i < count; i++) {
          if (limiter.tryAcquire({ startedAt: startMs + i * gapMs })) admitted++;
        }
        expect(admitted / (6 * limit)).toBeGreaterThanOrEqual((buckets - 1) / buckets);
      }),
      { numRuns: 20 },
    );
  });

  it('are at most B + 1, with calls at every moment', () => {
    const clock = manualClock();
    const before = process.memoryUsage().arrayBuffers;
    const limiter = rateLimiter({ limit: 1e9, windowMs: 1_000, buckets: 50, clock });
    for (let i = 0; i < 60_000; i++) limiter.tryAcquire({ startedAt: i / 20 });
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(250_000);
    expect(limiter.snapshot().used).toBeGreaterThan(19_000);
  });
});

describe.each(EXACT)('%s', (algorithm) => {
  it('has nW ≤ (n + 1) · limit', () => {
    fc.assert(
      fc.property(scenarios({ backwards: true }), limits, ({ windowMs, startMs, arrivals }, limit) => {
        const rig = new Rig({ limit, windowMs, algorithm, buckets: 3 }, startMs);
        for (const arrival of arrivals) rig.call(arrival);
        for (const n of [1, 2, 5]) expect(worst(rig.calls, n * windowMs)).toBeLessThanOrEqual((n + 1) * limit);
      }),
    );
  });

  it('retryAfterMs: waiting exactly that long admits, waiting less does not', () => {
    fc.assert(
      fc.property(
        scenarios({ backwards: true }),
        limits,
        bucketCounts,
        fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 5 }),
        ({ windowMs, startMs, arrivals }, limit, buckets, shares) => {
          const rig = new Rig({ limit, windowMs, algorithm, buckets }, startMs);
          for (const arrival of arrivals) {
            const { admitted, cost } = rig.call(arrival);
            const { clock, limiter } = rig;
            const waitMs = limiter.retryAfterMs({ cost });
            if (admitted) continue;
            if (cost > limit) {
              expect(waitMs).toBe(Infinity);
              continue;
            }
            expect(waitMs).toBeGreaterThan(0);
            const now = clock.now();
            const at = now + waitMs;
            // Refusals change nothing, so all of them can be tried on the way.
            const less = [...shares, 1 - 1e-9, 1 - 2 ** -53].map((share) => now + waitMs * share).sort((a, b) => a - b);
            for (const early of less) {
              if (early < at) expect(limiter.tryAcquire({ cost, startedAt: early })).toBe(false);
            }
            expect(limiter.retryAfterMs({ cost, startedAt: at })).toBe(0);
            expect(limiter.tryAcquire({ cost, startedAt: at })).toBe(true);
            return;
          }
        },
      ),
      { numRuns: 1_000 },
    );
  });

  it('retryAfterMs is as exact between any two numbers', () => {
    const time = fc.oneof(
      fc.double({ min: 0, max: 1e7, noNaN: true }),
      fc.double({ min: -1e4, max: 1e4, noNaN: true }),
    );
    fc.assert(
      fc.property(time, time, fc.double({ min: 1e-3, max: 1e6, noNaN: true }), (a, b, windowMs) => {
        const limiter = rateLimiter({ limit: 1, windowMs, algorithm, clock: manualClock() });
        const startedAt = Math.min(a, b);
        limiter.tryAcquire({ startedAt });
        const now = Math.min(Math.max(a, b), startedAt + windowMs / 2);
        const waitMs = limiter.retryAfterMs({ startedAt: now });
        const at = now + waitMs;
        for (const early of [now + waitMs * 0.999, now + waitMs * (1 - 2 ** -53)]) {
          if (early < at) expect(limiter.tryAcquire({ startedAt: early })).toBe(false);
        }
        expect(limiter.tryAcquire({ startedAt: at })).toBe(true);
        expect(at - startedAt).toBeGreaterThanOrEqual(windowMs);
      }),
      { numRuns: 2_000 },
    );
  });
});

describe.each(['log', 'buckets', 'counter'] as const)('%s', (algorithm) => {
  it('remaining is the number of back-to-back admissions possible now', () => {
    fc.assert(
      fc.property(
        scenarios({ backwards: true }),
        limits,
        fc.integer({ min: 1, max: 20 }),
        ({ windowMs, startMs, arrivals }, limit, later) => {
          const rig = new Rig({ limit, windowMs, algorithm, buckets: 5 }, startMs);
          for (const arrival of arrivals) rig.call(arrival);
          rig.limiter.update({ limit: later });
          const { remaining } = rig.limiter.snapshot();
          let admitted = 0;
          while (rig.limiter.tryAcquire()) admitted++;
          expect(remaining).toBe(admitted);
          expect(rig.limiter.snapshot().remaining).toBe(0);
        },
      ),
      { numRuns: 300 },
    );
  });

  it('resetMs is when remaining rises next', () => {
    fc.assert(
      fc.property(scenarios({ backwards: false }), limits, ({ windowMs, startMs, arrivals }, limit) => {
        const rig = new Rig({ limit, windowMs, algorithm, buckets: 5 }, startMs);
        for (const arrival of arrivals) rig.call(arrival);
        const { clock, limiter } = rig;
        const { remaining, resetMs } = limiter.snapshot();
        expect(resetMs > 0).toBe(remaining < limit);
        expect(resetMs).toBeLessThanOrEqual(2 * windowMs);
        const now = clock.time;
        clock.time = now + resetMs * 0.999;
        if (clock.time < now + resetMs) expect(limiter.snapshot().remaining).toBe(remaining);
        clock.time = now + resetMs;
        if (resetMs > 0) expect(limiter.snapshot().remaining).toBeGreaterThan(remaining);
      }),
    );
  });

  it('a call of cost c is as c calls of cost 1 at the same instant', () => {
    const whole = fc.oneof(fc.constant(1), fc.integer({ min: 1, max: 14 }));
    fc.assert(
      fc.property(scenarios({ backwards: true, costs: whole }), limits, ({ windowMs, startMs, arrivals }, limit) => {
        const weighted = new Rig({ limit, windowMs, algorithm, buckets: 5 }, startMs);
        const units = new Rig({ limit, windowMs, algorithm, buckets: 5 }, startMs);
        for (const arrival of arrivals) {
          const { admitted, cost } = weighted.call(arrival);
          units.clock.time += arrival.afterMs;
          expect(admitted).toBe(cost <= units.limiter.snapshot().remaining);
          if (admitted) for (let i = 0; i < cost; i++) expect(units.limiter.tryAcquire()).toBe(true);
          expect(weighted.limiter.snapshot()).toEqual(units.limiter.snapshot());
        }
      }),
    );
  });
});
