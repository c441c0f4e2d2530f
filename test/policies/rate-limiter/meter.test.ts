/** What the algorithms share: sums that are right to the last bit. */
import { seededRandom } from 'evenkeel/testing';
import { expect, it } from 'vitest';
import { after, countUnits, waitUntil } from '../../../src/policies/rate-limiter/meter.js';

it.each([
  [3.7, 3],
  [3.7, 1],
  [3.7, 5],
  [2, 0],
  [0.5, 0],
  [-2, 0],
  [-2, 1],
])('where the estimate is %d and %i fit, it counts them', (estimate, most) => {
  expect(countUnits(estimate, (units) => units <= most)).toBe(most);
});

it('the number after another is larger, with none between', () => {
  for (const x of [0, 1, 1.5, 1e9 + 1 / 3, -1, -3.7, 1e-300]) {
    expect(after(x)).toBeGreaterThan(x);
    const middle = x + (after(x) - x) / 2;
    expect(middle === x || middle === after(x)).toBe(true);
  }
});

it('a wait is never too short, and no longer than rounding makes it', () => {
  expect([waitUntil(5, 5), waitUntil(4, 5), waitUntil(5.5, 5)]).toEqual([0, 0, 0.5]);
  const random = seededRandom(1);
  let rounded = 0;
  for (let i = 0; i < 500; i++) {
    const now = -random() * 10 ** Math.floor(random() * 6);
    const at = random() * 10 ** Math.floor(random() * 6 - 3);
    const waitMs = waitUntil(at, now);
    expect(now + waitMs).toBeGreaterThanOrEqual(at);
    expect(waitMs - (at - now)).toBeLessThanOrEqual(after(at - now) - (at - now));
    if (waitMs > at - now) rounded++;
  }
  expect(rounded).toBeGreaterThan(100);
});
