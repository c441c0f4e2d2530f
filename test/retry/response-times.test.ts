import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ResponseTimes } from '../../src/retry/response-times.js';

describe('ResponseTimes', () => {
  it('gives the exact quantile of the latest ones', () => {
    const few = fc.array(fc.integer({ min: 0, max: 20 }), { maxLength: 60 });
    const many = fc.array(fc.double({ min: 0, max: 1e6, noNaN: true }), { minLength: 290, maxLength: 1_000 });
    fc.assert(
      fc.property(fc.oneof(few, many), fc.double({ min: 0.001, max: 0.999, noNaN: true }), (all, share) => {
        const times = new ResponseTimes(300);
        const check = (known: number): void => {
          const latest = all.slice(Math.max(0, known - 300), known).sort((a, b) => a - b);
          expect(times.count).toBe(latest.length);
          expect(times.quantile(share)).toBe(latest[Math.max(0, Math.ceil(share * latest.length) - 1)] ?? 0);
        };
        check(0);
        all.forEach((ms, i) => {
          times.add(ms);
          if (all.length < 100 || i % 97 === 0) check(i + 1);
        });
        check(all.length);
      }),
      { numRuns: 60 },
    );
  });
});
