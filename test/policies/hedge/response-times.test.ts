import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ResponseTimes } from '../../../src/policies/hedge/response-times.js';

const shares = fc.double({ min: 0.001, max: 0.999, noNaN: true });

/** Compared with a list that is sorted anew, after each `every`-th time. */
function compare(size: number, all: readonly number[], share: number, every: number): void {
  const times = new ResponseTimes(size);
  const check = (known: number): void => {
    const latest = all.slice(Math.max(0, known - size), known).sort((a, b) => a - b);
    expect(times.count).toBe(latest.length);
    expect(times.quantile(share)).toBe(latest[Math.max(0, Math.ceil(share * latest.length) - 1)] ?? 0);
  };
  check(0);
  all.forEach((ms, i) => {
    times.add(ms);
    if (i % every === 0) check(i + 1);
  });
  check(all.length);
}

describe('ResponseTimes', () => {
  it('gives the exact quantile of the latest ones', () => {
    const few = fc.array(fc.integer({ min: 0, max: 20 }), { maxLength: 40 });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 12 }), few, shares, (size, all, share) => compare(size, all, share, 1)),
    );
  });

  it('also of hundreds', () => {
    const many = fc.array(fc.double({ min: 0, max: 1e6, noNaN: true }), { minLength: 290, maxLength: 1_000 });
    fc.assert(
      fc.property(many, shares, (all, share) => compare(300, all, share, 97)),
      { numRuns: 30 },
    );
  });
});
