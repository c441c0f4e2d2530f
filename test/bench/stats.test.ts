import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { mean, median, relativeDeviation, spreadRatio } from '../../bench/kit/stats.js';

const figures = fc.array(fc.double({ min: 1e-3, max: 1e9, noNaN: true }), { minLength: 2, maxLength: 50 });

describe('median', () => {
  it('is the middle, or half-way between the two in the middle', () => {
    expect(median([3, 1, 2])).toBe(2);
    expect(median([4, 1, 2, 3])).toBe(2.5);
    expect(median([])).toBeNaN();
  });

  it('leaves what it was given as it was', () => {
    const values = [3, 1, 2];
    median(values);
    expect(values).toEqual([3, 1, 2]);
  });

  it('has half of the values on either side', () => {
    fc.assert(
      fc.property(figures, (values) => {
        const middle = median(values);
        expect(values.filter((one) => one < middle).length).toBeLessThanOrEqual(values.length / 2);
        expect(values.filter((one) => one > middle).length).toBeLessThanOrEqual(values.length / 2);
      }),
    );
  });
});

describe('spread', () => {
  it('is half the distance between the quartiles, as a share', () => {
    expect(spreadRatio([80, 90, 100, 110, 120])).toBeCloseTo(0.1);
  });

  it('does not see one round in five that went astray', () => {
    expect(spreadRatio([100, 100, 100, 100, 1_000])).toBe(0);
  });

  it('and the deviation do not change with the unit', () => {
    fc.assert(
      fc.property(figures, (values) => {
        const scaled = values.map((one) => one * 1_000);
        for (const measure of [spreadRatio, relativeDeviation]) {
          const [before, after] = [measure(values), measure(scaled)];
          expect(Math.abs(after - before)).toBeLessThanOrEqual(1e-9 * (1 + before));
        }
      }),
    );
  });
});

it('the deviation is about the share by which figures differ', () => {
  expect(relativeDeviation([100, 100, 100])).toBe(0);
  // ln 1.01 on either side of the middle.
  expect(relativeDeviation([100 / 1.01, 100, 101])).toBeCloseTo(Math.log(1.01), 10);
  expect(mean([1, 2, 6])).toBe(3);
});
