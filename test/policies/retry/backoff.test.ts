import { decorrelatedBackoff, exponentialBackoff } from 'evenkeel';
import { seededRandom } from 'evenkeel/testing';
import fc from 'fast-check';
import { expect, it } from 'vitest';

const share = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
const ms = fc.double({ min: 0, max: 1e5, noNaN: true });

it('exponential: full jitter up to base · factor^(retry − 1), capped', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 5_000 }),
      share,
      ms,
      ms,
      fc.double({ min: 1, max: 10, noNaN: true }),
      (retry, x, baseMs, more, factor) => {
        const maxMs = baseMs + more;
        const longest = Math.min(maxMs, baseMs === 0 ? 0 : baseMs * factor ** (retry - 1));
        expect(exponentialBackoff({ baseMs, maxMs, factor })(retry, 0, () => x)).toBe(x * longest);
        expect(exponentialBackoff({ baseMs, maxMs, factor, jitter: 'none' })(retry, 0, () => x)).toBe(longest);
      },
    ),
  );
});

it('exponential: by default up to 100, 200, 400 … 10,000 ms', () => {
  const backoff = exponentialBackoff();
  expect([1, 2, 3, 7, 8, 9, 1e9].map((retry) => backoff(retry, 0, () => 0.5))).toEqual([
    50, 100, 200, 3_200, 5_000, 5_000, 5_000,
  ]);
});

it('exponential: no wait without a base, however often', () => {
  expect(exponentialBackoff({ baseMs: 0, jitter: 'none' })(1e9, 0, () => 0.5)).toBe(0);
});

it('decorrelated: between base and three times the wait before, capped', () => {
  fc.assert(
    fc.property(fc.integer(), ms, ms, (seed, baseMs, more) => {
      const random = seededRandom(seed);
      const maxMs = baseMs + more;
      const backoff = decorrelatedBackoff({ baseMs, maxMs });
      let before = 0;
      for (let retry = 1; retry < 50; retry++) {
        const wait = backoff(retry, before, random);
        expect(wait).toBeGreaterThanOrEqual(baseMs);
        expect(wait).toBeLessThanOrEqual(Math.min(maxMs, 3 * Math.max(baseMs, before)) * (1 + 1e-12));
        before = wait;
      }
    }),
  );
});

it('decorrelated: by default starts between 100 and 300 ms', () => {
  const backoff = decorrelatedBackoff();
  expect([0, 0.5, 0.999].map((x) => Math.round(backoff(1, 0, () => x)))).toEqual([100, 200, 300]);
  expect(backoff(9, 9_000, () => 0.9)).toBe(10_000);
});

it('a base over the usual cap is its own cap', () => {
  expect(exponentialBackoff({ baseMs: 60_000, jitter: 'none' })(3, 0, Math.random)).toBe(60_000);
});
