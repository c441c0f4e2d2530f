import fc from 'fast-check';
import { expect, it } from 'vitest';
import { ServiceTimes } from '../../../src/policies/deadline/service-times.js';

it('has the middle and the 95 % quantile of the latest 64', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(50), { maxLength: 200, size: 'max' }), (all) => {
      const times = new ServiceTimes();
      all.forEach((ms, i) => {
        times.add(ms);
        const sorted = all.slice(Math.max(0, i - 63), i + 1).sort((a, b) => a - b);
        expect(times.count).toBe(sorted.length);
        expect(times.medianMs).toBe(sorted[Math.ceil(sorted.length / 2) - 1]);
        expect(times.highMs).toBe(sorted[Math.ceil(sorted.length * 0.95) - 1]);
      });
    }),
  );
});

it('starts over when cleared', () => {
  const times = new ServiceTimes();
  for (let i = 0; i < 100; i++) times.add(1_000);
  times.clear();
  expect([times.count, times.medianMs, times.highMs]).toEqual([0, 0, 0]);
  times.add(7);
  times.add(5);
  expect([times.count, times.medianMs, times.highMs]).toEqual([2, 5, 7]);
});
