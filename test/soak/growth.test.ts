import { expect, it } from 'vitest';
import { growthPerHour } from './growth.js';

it('is the slope, whatever a few samples say', () => {
  const samples = Array.from({ length: 20 }, (_, i) => ({ minutes: i / 2, kb: 1_000 + i }));
  expect(growthPerHour(samples)).toBeCloseTo(120, 9);
  (samples[7] as { kb: number }).kb += 1e6;
  expect(growthPerHour(samples)).toBeCloseTo(120, 9);
  expect(growthPerHour(samples.map(({ minutes }) => ({ minutes, kb: 5 })))).toBe(0);
  expect(growthPerHour([])).toBe(0);
});
