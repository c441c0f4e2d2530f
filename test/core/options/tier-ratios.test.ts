/** What each limiter says of bad `tierRatios`. */
import { concurrencyLimiter, keyedRateLimiter, rateLimiter } from 'evenkeel';
import { manualClock } from 'evenkeel/testing';
import { describe, expect, it } from 'vitest';
import { rankOf } from '../../../src/core/options/tier-ratios.js';

type TierRatios = [number, number, number, number];

/** Each with a limit of 4, and room for all of it. */
const LIMITERS = {
  rateLimiter: (tierRatios: TierRatios) => rateLimiter({ limit: 4, windowMs: 1, tierRatios, clock: manualClock() }),
  keyedRateLimiter: (tierRatios: TierRatios) =>
    keyedRateLimiter({ limit: 4, windowMs: 1, maxKeys: 1, tierRatios, clock: manualClock() }),
  concurrencyLimiter: (tierRatios: TierRatios) =>
    concurrencyLimiter({ minLimit: 4, maxLimit: 4, load: () => 1, tierRatios, clock: manualClock() }),
};

describe.each(Object.entries(LIMITERS))('%s', (owner, make) => {
  it.each<[unknown, RangeErrorConstructor | TypeErrorConstructor, string]>([
    [0.5, TypeError, 'tierRatios must be an array of 4 numbers, got 0.5'],
    [{ length: 4 }, TypeError, 'tierRatios must be an array of 4 numbers, got an object'],
    [[1, 1, 1], RangeError, 'tierRatios.length must be 4, got 3'],
    [[1, 1, 1, 1, 1], RangeError, 'tierRatios.length must be 4, got 5'],
    [[1.1, 1, 1, 1], RangeError, 'tierRatios[0] must be 1, got 1.1'],
    [[0.9, 0.9, 0.9, 0.9], RangeError, 'tierRatios[0] must be 1, got 0.9'],
    [['1', 1, 1, 1], TypeError, 'tierRatios[0] must be 1, got "1"'],
    [new Array(4), TypeError, 'tierRatios[0] must be 1, got undefined'],
    [[1, 1, 1, 0], RangeError, 'tierRatios[3] must be a finite number > 0 and ≤ 1, got 0'],
    [[1, 0.5, 0.6, 0.1], RangeError, 'tierRatios[2] must be a finite number > 0 and ≤ 0.5, got 0.6'],
    [[1, NaN, 1, 1], RangeError, 'tierRatios[1] must be a finite number > 0 and ≤ 1, got NaN'],
    [[1, 1, '1', 1], TypeError, 'tierRatios[2] must be a finite number > 0 and ≤ 1, got "1"'],
    // biome-ignore lint/suspicious/noSparseArray: that is what is refused
    [[1, , 1, 1], TypeError, 'tierRatios[1] must be a finite number > 0 and ≤ 1, got undefined'],
  ])('refuses tierRatios of %j', (ratios, error, message) => {
    expect(() => make(ratios as TierRatios)).toThrow(new error(`${owner}: ${message}`));
    expect(() => make(ratios as TierRatios)).toThrow(error);
  });

  it('keeps none of the array that it is given', () => {
    const ratios: TierRatios = [1, 1, 1, 0.5];
    const limiter = make(ratios);
    ratios.fill(1);
    const admitted = [1, 2, 3, 4].map(() => limiter.tryAcquire({ tier: 4 }));
    expect(admitted).toEqual([true, true, false, false]);
  });
});

it('without tierRatios every tier may fill the limit', () => {
  const limiter = rateLimiter({ limit: 2, windowMs: 1, clock: manualClock() });
  expect([4, 4, 1].map((tier) => limiter.tryAcquire({ tier: tier as 1 | 4 }))).toEqual([true, true, false]);
});

it('a call without a tier has that of tier 3, one with an unknown tier that of tier 4', () => {
  expect([1, 2, 3, 4].map((tier) => rankOf({ tier: tier as 1 }))).toEqual([0, 1, 2, 3]);
  expect([rankOf(undefined), rankOf({})]).toEqual([2, 2]);
  expect([0, 5, NaN, '1', null].map((tier) => rankOf({ tier: tier as 1 }))).toEqual([3, 3, 3, 3, 3]);
});
