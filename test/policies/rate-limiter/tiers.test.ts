import {
  keyedRateLimiter,
  pipeline,
  type RateLimiter,
  type RateLimiterOptions,
  rateLimiter,
  type Tier,
} from 'evenkeel';
import { manualClock } from 'evenkeel/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type Algorithm,
  bucketCounts,
  type Call,
  costs,
  countedIn,
  limits,
  SetClock,
  windows,
  worst,
} from './arrivals.js';

type TierRatios = NonNullable<RateLimiterOptions['tierRatios']>;

const TIERS: Tier[] = [1, 2, 3, 4];
const algorithms = fc.constantFrom<Algorithm>('log', 'buckets', 'counter');
const exactOnes = fc.constantFrom<Algorithm>('log', 'buckets');

/** An odd number of parts, so that no share is half a permit and its rounding a matter of taste. */
const PARTS = 9_999;
const ratio = fc
  .oneof(fc.constantFrom(3_333, 6_666, PARTS), fc.integer({ min: 1, max: PARTS }))
  .map((parts) => parts / PARTS);
const tierRatios = fc
  .tuple(ratio, ratio, ratio)
  .map((others) => [1, ...others.sort((a, b) => b - a)] as unknown as TierRatios);

/** What a tier may fill, by whole numbers. */
function share(limit: number, ratios: TierRatios, tier: Tier): number {
  const parts = limit * Math.round((ratios[tier - 1] as number) * PARTS);
  const whole = Math.floor(parts / PARTS);
  return Math.max(1, 2 * (parts - whole * PARTS) > PARTS ? whole + 1 : whole);
}

interface Scene {
  limit: number;
  windowMs: number;
  buckets: number;
  algorithm: Algorithm;
  ratios: TierRatios;
  calls: { afterMs: number; cost: number; tier: Tier }[];
}

const scenes = (algorithm: fc.Arbitrary<Algorithm>): fc.Arbitrary<Scene> =>
  fc
    .record({
      limit: limits,
      windowMs: windows,
      buckets: bucketCounts,
      algorithm,
      ratios: tierRatios,
      calls: fc.array(
        fc.record({
          afterMs: fc.oneof(fc.constantFrom(0, 0, 0.1, 0.5, 1), fc.double({ min: 0, max: 1.5, noNaN: true })),
          cost: costs,
          tier: fc.constantFrom(...TIERS),
        }),
        { maxLength: 80, size: 'max' },
      ),
    })
    .map((scene) => ({
      ...scene,
      calls: scene.calls.map((call) => ({ ...call, afterMs: call.afterMs * scene.windowMs })),
    }));

/** A limiter that is asked the calls of a scene, each after `before` has looked at it. */
function play(
  scene: Scene,
  before: (limiter: RateLimiter, cost: number) => void = () => {},
): (Call & { tier: Tier })[] {
  const { ratios: tierRatios, calls, ...options } = scene;
  const clock = new SetClock(0);
  const limiter = rateLimiter({ ...options, tierRatios, clock });
  return calls.map(({ afterMs, cost, tier }) => {
    clock.time += afterMs;
    before(limiter, cost);
    return { at: clock.time, cost, tier, admitted: limiter.tryAcquire({ cost, tier }), ignored: false };
  });
}

describe('shares of the tiers', () => {
  it('admits a call when it fits below the share of its tier, whoever has used that', () => {
    fc.assert(
      fc.property(scenes(fc.constant('log')), (scene) => {
        const calls = play(scene);
        calls.forEach(({ at, cost, tier, admitted }, i) => {
          const used = countedIn(calls.slice(0, i), at, scene.windowMs);
          expect(admitted).toBe(used + cost <= share(scene.limit, scene.ratios, tier));
        });
      }),
    );
  });

  it('would at any instant admit every more critical tier, if it admits one', () => {
    fc.assert(
      fc.property(scenes(algorithms), (scene) => {
        play(scene, (limiter, cost) => {
          const fits = TIERS.map((tier) => limiter.retryAfterMs({ cost, tier }) === 0);
          expect(fits).toEqual([...fits].sort((a, b) => Number(b) - Number(a)));
          const waits = TIERS.map((tier) => limiter.retryAfterMs({ cost, tier }));
          expect(waits).toEqual([...waits].sort((a, b) => a - b));
          const admitted = TIERS.map((tier) => {
            const took = limiter.tryAcquire({ cost, tier });
            if (took) limiter.release('ignored', 0, { cost, tier });
            return took;
          });
          expect(admitted).toEqual(fits);
        });
      }),
    );
  });

  it('never lets more of a tier and those below it into a window than its share; counters less than twice that', () => {
    fc.assert(
      fc.property(scenes(algorithms), (scene) => {
        const { limit, windowMs, algorithm, ratios } = scene;
        const calls = play(scene);
        for (const tier of TIERS) {
          const most = worst(
            calls.filter((call) => call.tier >= tier),
            windowMs,
          );
          const its = share(limit, ratios, tier);
          if (algorithm === 'counter') expect(most).toBeLessThan(2 * its);
          else expect(most).toBeLessThanOrEqual(its);
        }
      }),
    );
  });

  it('leaves tier 1 all that is left', () => {
    fc.assert(
      fc.property(scenes(algorithms), (scene) => {
        play(scene, (limiter) => {
          const { remaining } = limiter.snapshot();
          for (let i = 0; i < remaining; i++) expect(limiter.tryAcquire({ tier: 1 })).toBe(true);
          expect(limiter.tryAcquire({ tier: 1 })).toBe(false);
          for (let i = 0; i < remaining; i++) limiter.release('ignored', 0, { tier: 1 });
        });
      }),
    );
  });

  it('tells exactly when a call of the tier is admitted next', () => {
    let waited = 0;
    fc.assert(
      fc.property(scenes(exactOnes), (scene) => {
        const last = scene.calls.pop();
        if (last === undefined) return;
        const { limit, windowMs, buckets, algorithm, ratios } = scene;
        const now = scene.calls.reduce((time, { afterMs }) => time + afterMs, 0);
        /** Whether the last call is admitted so long after the others. */
        const retry = (tier: Tier, waitMs?: number): number | boolean => {
          const clock = new SetClock(0);
          const limiter = rateLimiter({ limit, windowMs, buckets, algorithm, tierRatios: ratios, clock });
          for (const { afterMs, ...call } of scene.calls) {
            clock.time += afterMs;
            limiter.tryAcquire(call);
          }
          const ctx = { cost: last.cost, tier };
          if (waitMs === undefined) return limiter.retryAfterMs(ctx);
          clock.time += waitMs;
          return limiter.tryAcquire(ctx);
        };
        for (const tier of TIERS) {
          const waitMs = retry(tier) as number;
          if (waitMs === Infinity) {
            expect(last.cost).toBeGreaterThan(share(limit, ratios, tier));
            continue;
          }
          expect(retry(tier, waitMs)).toBe(true);
          const sooner = waitMs * (1 - 1e-9);
          // A clock may have no time between.
          if (now + sooner === now + waitMs) continue;
          waited++;
          expect(retry(tier, sooner)).toBe(false);
        }
      }),
    );
    expect(waited).toBeGreaterThan(20);
  });

  it('counts permits, not the binary fractions of a product: 29% of 100 are 29', () => {
    for (let hundredths = 1; hundredths <= 100; hundredths++) {
      const ratio = hundredths / 100;
      const limiter = rateLimiter({ limit: 100, windowMs: 1, tierRatios: [1, 1, 1, ratio], clock: manualClock() });
      expect(limiter.retryAfterMs({ tier: 4, cost: hundredths })).toBe(0);
      expect(limiter.retryAfterMs({ tier: 4, cost: hundredths + 1 })).toBe(Infinity);
    }
  });

  it('stays within the largest limit, and has a permit for each tier of the smallest', () => {
    const limit = Number.MAX_SAFE_INTEGER;
    const large = rateLimiter({ limit, windowMs: 1, tierRatios: [1, 1, 1, 1], clock: manualClock() });
    expect(large.retryAfterMs({ tier: 4, cost: limit })).toBe(0);
    expect(large.retryAfterMs({ tier: 4, cost: limit + 1 })).toBe(Infinity);
    for (const tier of TIERS) {
      const small = rateLimiter({ limit: 1, windowMs: 1, tierRatios: [1, 0.1, 0.1, 0.1], clock: manualClock() });
      expect([small.tryAcquire({ tier }), small.tryAcquire({ tier }), small.retryAfterMs({ tier })]).toEqual([
        true,
        false,
        1,
      ]);
    }
  });

  it('shares each key of a keyed limiter alike, and a call beyond its share takes no other key its place', () => {
    fc.assert(
      fc.property(scenes(fc.constant('counter')), ({ limit, windowMs, ratios, calls }) => {
        const clock = new SetClock(0);
        const options = { limit, windowMs, tierRatios: ratios, clock };
        const keyed = keyedRateLimiter({ ...options, maxKeys: 4 });
        const alone = rateLimiter({ ...options, algorithm: 'counter' });
        for (const { afterMs, cost, tier } of calls) {
          clock.time += afterMs;
          for (let i = 0; i < 9; i++) keyed.tryAcquire({ key: `${i}`, tier, cost: share(limit, ratios, tier) + 1 });
          expect(keyed.retryAfterMs({ key: 'a', tier, cost })).toBe(alone.retryAfterMs({ tier, cost }));
          expect(keyed.tryAcquire({ key: 'a', tier, cost })).toBe(alone.tryAcquire({ tier, cost }));
          const { used, remaining } = alone.snapshot();
          expect(keyed.peek('a')).toMatchObject({ used, remaining });
        }
      }),
    );
  });

  it('takes a call that does not say for tier 3, and an unknown tier for 4', () => {
    const tierRatios = [1, 0.75, 0.5, 0.25] as const;
    const shareOf = (ctx?: object): number => {
      const limiter = rateLimiter({ limit: 100, windowMs: 1_000, tierRatios, clock: manualClock() });
      let admitted = 0;
      while (limiter.tryAcquire(ctx)) admitted++;
      return admitted;
    };
    expect([{ tier: 1 }, { tier: 2 }, { tier: 3 }, { tier: 4 }].map(shareOf)).toEqual([100, 75, 50, 25]);
    expect([shareOf(), shareOf({}), shareOf({ tier: undefined })]).toEqual([50, 50, 50]);
    expect([0, 5, 1.5, -1, NaN, '1'].map((tier) => shareOf({ tier }))).toEqual([25, 25, 25, 25, 25, 25]);
  });

  it('goes by the limit of an update', () => {
    const limiter = rateLimiter({ limit: 10, windowMs: 1_000, tierRatios: [1, 1, 1, 0.5], clock: manualClock() });
    limiter.update({ limit: 20 });
    expect(limiter.retryAfterMs({ tier: 4, cost: 10 })).toBe(0);
    expect(limiter.retryAfterMs({ tier: 4, cost: 11 })).toBe(Infinity);
  });

  it('refuses in a pipeline with the time of the tier', async () => {
    const clock = manualClock();
    const limiter = rateLimiter({ limit: 4, windowMs: 1_000, tierRatios: [1, 1, 1, 0.5], algorithm: 'log', clock });
    const guard = pipeline(limiter);
    await guard.execute(() => 'done', { tier: 4 });
    await clock.advance(400);
    await guard.execute(() => 'done', { tier: 1 });
    const refused = await guard.tryExecute(() => 'done', { tier: 4 });
    expect(refused).toMatchObject({ ok: false, rejection: { reason: 'rate_limited', retryAfterMs: 600 } });
    expect(await guard.tryExecute(() => 'done', { tier: 3 })).toMatchObject({ ok: true });
  });
});
