import { expect, it } from 'vitest';
import { bytesACall, MOST_BYTES_A_CALL } from './growth.js';

it('is the slope, whatever a few samples say', () => {
  const samples = Array.from({ length: 20 }, (_, i) => ({ kb: 1_000 + i, calls: 100 * i }));
  expect(bytesACall(samples)).toBeCloseTo(10.24, 9);
  (samples[7] as { kb: number }).kb += 1e6;
  expect(bytesACall(samples)).toBeCloseTo(10.24, 9);
  expect(bytesACall(samples.map(({ calls }) => ({ calls, kb: 5 })))).toBe(0);
  // No sample shows nothing: it must not pass for 0.
  expect(bytesACall([])).toBeNaN();
  expect(bytesACall([]) <= MOST_BYTES_A_CALL).toBe(false);
});
