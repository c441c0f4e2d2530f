/** The shares of the limit that each tier may fill, and whose turn it is in the queue. */
import { type ConcurrencyLimiterOptions, concurrencyLimiter, isRejected, pipeline, type Tier } from 'evenkeel';
import { manualClock, seededRandom } from 'evenkeel/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

type Ratios = NonNullable<ConcurrencyLimiterOptions['tierRatios']>;

const TIERS = [1, 2, 3, 4] as const;
const RATIOS: Ratios = [1, 0.9, 0.6, 0.3];

const fixed = (limit: number, more: Omit<ConcurrencyLimiterOptions, 'queue'> = {}) =>
  concurrencyLimiter({ load: () => 1, minLimit: limit, maxLimit: limit, clock: manualClock(), ...more });

/** How many calls of a tier are let in, one after the other. */
function room(limiter: ReturnType<typeof fixed>, ctx?: { tier: Tier }): number {
  let admitted = 0;
  while (admitted < 1_000 && limiter.tryAcquire(ctx)) admitted++;
  return admitted;
}

describe('the share of a tier', () => {
  it('is what its calls may fill; tier 1 uses the whole limit', () => {
    const rooms = TIERS.map((tier) => room(fixed(10, { tierRatios: RATIOS }), { tier }));
    expect(rooms).toEqual([10, 9, 6, 3]);
  });

  it('counts all that is in flight, so that the more critical fill up what is left', () => {
    const limiter = fixed(10, { tierRatios: RATIOS });
    expect([4, 3, 2, 1].map((tier) => room(limiter, { tier: tier as Tier }))).toEqual([3, 3, 3, 1]);
  });

  it('is that of tier 3 without a tier, and of tier 4 for an unknown one', () => {
    const limiter = (): ReturnType<typeof fixed> => fixed(10, { tierRatios: RATIOS });
    expect(room(limiter())).toBe(6);
    for (const tier of [0, 5, 1.5, NaN, '1', null]) expect(room(limiter(), { tier: tier as Tier })).toBe(3);
  });

  it('is one call at least: with nothing in flight each is let in', () => {
    for (const tier of TIERS) expect(room(fixed(1, { tierRatios: [1, 0.01, 0.01, 0.01] }), { tier })).toBe(1);
  });

  it('holds only while the load is at the threshold, and not when the limiter is off or in shadow mode', () => {
    for (const more of [{ load: () => 0 }, { mode: 'off' }, { mode: 'shadow' }] as const) {
      expect(room(fixed(10, { tierRatios: RATIOS, ...more }), { tier: 4 })).toBe(1_000);
    }
  });

  it('decides the time to come back', () => {
    const clock = manualClock();
    const limiter = concurrencyLimiter({ load: () => 1, minLimit: 10, maxLimit: 10, tierRatios: RATIOS, clock });
    for (let at = 0; at < 6_000; at += 20) {
      limiter.tryAcquire({ tier: 1, startedAt: at });
      limiter.release('success', 20, { startedAt: at });
    }
    expect(limiter.snapshot().minRttMs).toBeCloseTo(20);
    room(limiter, { tier: 4 });
    expect([limiter.retryAfterMs({ tier: 4 }), limiter.retryAfterMs({ tier: 1 })].map(Math.round)).toEqual([20, 0]);
    expect(limiter.snapshot().limiting).toBe(false);
    room(limiter, { tier: 1 });
    expect(limiter.snapshot().limiting).toBe(true);
  });

  it('that is refused shows nothing of the limit, which does not run away', () => {
    // Ten places, 20 ms each; all calls are of tier 4, which may fill half of the limit.
    const WORKERS = 10;
    const clock = manualClock();
    const limiter = concurrencyLimiter({ load: () => 1, maxLimit: 20, tierRatios: [1, 1, 1, 0.5], clock });
    const begun: number[] = [];
    let most = 0;
    for (let at = 0; at < 60_000; at++) {
      while (begun.length > 0 && (begun[0] as number) + 20 <= at) {
        limiter.release('success', 20, { startedAt: begun.shift() as number });
      }
      for (let i = 0; i < 2 && limiter.tryAcquire({ tier: 4, startedAt: at }); i++) begun.push(at);
      if (at > 20_000) most = Math.max(most, limiter.snapshot().limit);
    }
    expect(most).toBeLessThanOrEqual(WORKERS * 1.3);
  });
});

describe('without the option', () => {
  it('tiers are not looked at', () => {
    for (const tier of TIERS) expect(room(fixed(10), { tier })).toBe(10);
    for (const tier of TIERS) expect(room(fixed(10, { tierRatios: [1, 1, 1, 1] }), { tier })).toBe(10);
  });

  it('nor are they in the queue', async () => {
    const { call, end, names, log, clock } = queued(undefined, 2);
    for (const [name, tier] of Object.entries({ a: 4, b: 4, c: 3, d: 1 })) call(name, tier as Tier);
    await clock.advance(1);
    for (const name of ['a', 'b', 'c']) await end(name);
    expect([names(), log[0]]).toEqual([['a', 'b', 'c'], 'd concurrency_limited']);
  });
});

const ratios = fc
  .array(fc.double({ min: 0.01, max: 1, noNaN: true }), { minLength: 3, maxLength: 3 })
  .map((rest) => [1, ...rest.sort((a, b) => b - a)] as unknown as Ratios);

it('whenever a tier is let in, every more critical one would be; permits are conserved', () => {
  fc.assert(
    fc.property(ratios, fc.integer({ min: 1, max: 40 }), fc.integer(), (tierRatios, limit, seed) => {
      const random = seededRandom(seed);
      const limiter = fixed(limit, { tierRatios });
      let inflight = 0;
      for (let i = 0; i < 200; i++) {
        if (random() < 0.3 && inflight > 0) {
          limiter.release('success', 1);
          inflight--;
        }
        // Each is asked at the same state: what it takes is given back.
        const admitted = TIERS.map((tier) => {
          const taken = limiter.tryAcquire({ tier });
          if (taken) limiter.release('ignored', 0);
          return taken;
        });
        expect(admitted).toEqual([...admitted].sort((a, b) => Number(b) - Number(a)));
        expect(admitted[0]).toBe(inflight < limit);
        if (inflight === 0) expect(admitted).toEqual([true, true, true, true]);
        if (limiter.tryAcquire({ tier: TIERS[Math.floor(random() * 4)] as Tier })) inflight++;
        expect(limiter.snapshot().inflight).toBe(inflight);
        expect(inflight).toBeLessThanOrEqual(limit);
      }
    }),
    { numRuns: 50 },
  );
});

/** One place unless told, a queue, and calls that end when told to. */
function queued(tierRatios: Ratios | undefined, maxSize: number, places = 1, order: 'fifo' | 'adaptive-lifo' = 'fifo') {
  const clock = manualClock();
  const limiter = concurrencyLimiter({
    load: () => 1,
    minLimit: places,
    maxLimit: places,
    ...(tierRatios && { tierRatios }),
    queue: { maxSize, maxWaitMs: 1_000, order },
    clock,
  });
  const guard = pipeline(limiter);
  const ends = new Map<string, () => void>();
  const log: string[] = [];
  const call = (name: string, tier: Tier): void => {
    const work = () => new Promise<void>((resolve) => void ends.set(name, resolve));
    void guard.execute(work, { tier }).then(
      () => log.push(`${name} done`),
      (error: unknown) => log.push(`${name} ${isRejected(error) ? error.reason : String(error)}`),
    );
  };
  const end = async (name: string): Promise<void> => {
    ends.get(name)?.();
    await clock.advance(1);
  };
  return { clock, limiter, call, end, log, names: () => [...ends.keys()] };
}

describe('in the queue', () => {
  const SAME: Ratios = [1, 1, 1, 1];

  it('the most critical goes first, within a tier the oldest', async () => {
    const { call, end, names, clock } = queued(SAME, 10);
    const calls = { a: 3, d1: 4, c1: 3, d2: 4, b1: 2, a1: 1, c2: 3, a2: 1 };
    for (const [name, tier] of Object.entries(calls)) call(name, tier as Tier);
    await clock.advance(1);
    const order = ['a', 'a1', 'a2', 'b1', 'c1', 'c2', 'd1', 'd2'];
    for (const name of order) await end(name);
    expect(names()).toEqual(order);
  });

  it('within a tier the newest, where the queue stands and is told so', async () => {
    const { call, end, names, clock } = queued(SAME, 10, 1, 'adaptive-lifo');
    call('a', 3);
    call('old', 1);
    await clock.advance(999);
    for (const [name, tier] of Object.entries({ c1: 3, b1: 2, b2: 2 })) call(name, tier as Tier);
    await clock.advance(2);
    for (const name of ['a', 'b2', 'b1']) await end(name);
    expect(names()).toEqual(['a', 'b2', 'b1', 'c1']);
  });

  it('one that has no room yet holds up none more critical, which has', async () => {
    const { call, end, names, clock } = queued([1, 1, 1, 0.5], 10, 2);
    call('a', 4);
    call('d', 4);
    call('c', 3);
    await clock.advance(1);
    expect(names()).toEqual(['a', 'c']);
    await end('a');
    expect(names()).toEqual(['a', 'c']);
    await end('c');
    expect(names()).toEqual(['a', 'c', 'd']);
  });

  it('a full one takes a more critical call in place of the youngest of the least critical tier', async () => {
    const { call, end, names, log, clock, limiter } = queued(SAME, 3);
    for (const [name, tier] of Object.entries({ a: 3, d1: 4, c1: 3, d2: 4 })) call(name, tier as Tier);
    await clock.advance(1);
    expect(log).toEqual([]);
    call('b1', 2);
    await clock.advance(1);
    expect(log).toEqual(['d2 concurrency_limited']);
    call('d3', 4);
    await clock.advance(1);
    expect(log).toEqual(['d2 concurrency_limited', 'd3 concurrency_limited']);
    call('a1', 1);
    await clock.advance(1);
    expect(log.at(-1)).toBe('d1 concurrency_limited');
    call('c2', 3);
    await clock.advance(1);
    expect(log.at(-1)).toBe('c2 concurrency_limited');
    for (const name of ['a', 'a1', 'b1', 'c1']) await end(name);
    expect(names()).toEqual(['a', 'a1', 'b1', 'c1']);
    expect([limiter.snapshot().inflight, limiter.snapshot().queued, clock.waiting]).toEqual([0, 0, 0]);
  });

  it('a full one without the least critical tier gives way by the next', async () => {
    const { call, log, clock } = queued(SAME, 2);
    for (const [name, tier] of Object.entries({ a: 3, c1: 3, c2: 3, a1: 1 })) call(name, tier as Tier);
    await clock.advance(1);
    expect(log).toEqual(['c2 concurrency_limited']);
  });

  it('each call is done or refused, once; no permit and no timer stays', async () => {
    await fc.assert(
      fc.asyncProperty(ratios, fc.integer({ min: 1, max: 6 }), fc.integer(), async (tierRatios, places, seed) => {
        const random = seededRandom(seed);
        const { call, end, log, names, clock, limiter } = queued(tierRatios, 4, places);
        const CALLS = 60;
        for (let i = 0; i < CALLS; i++) {
          call(String(i), TIERS[Math.floor(random() * 4)] as Tier);
          await clock.advance(random() * 100);
          expect(limiter.snapshot().inflight).toBeLessThanOrEqual(places);
          expect(limiter.snapshot().queued).toBeLessThanOrEqual(4);
          if (random() < 0.7) await end(names()[Math.floor(random() * names().length)] as string);
        }
        for (let i = 0; i < CALLS; i++) for (const name of names()) await end(name);
        await clock.advance(2_000);
        expect(log.map((line) => Number.parseInt(line, 10)).sort((a, b) => a - b)).toEqual(
          Array.from({ length: CALLS }, (_, i) => i),
        );
        expect([limiter.snapshot().inflight, limiter.snapshot().queued, clock.waiting]).toEqual([0, 0, 0]);
      }),
      { numRuns: 10 },
    );
  });
});
