import { levelOf } from 'evenkeel';
import fc from 'fast-check';
import { expect, it } from 'vitest';

const HOUR = 495_000;
const users = Array.from({ length: 12_800 }, (_, i) => `user-${i}`);

/** χ² of `counts` against all alike; its mean is the number of counts less one, its spread the root of twice that. */
const chiSquare = (counts: number[]): number => {
  const mean = counts.reduce((a, b) => a + b) / counts.length;
  return counts.reduce((sum, n) => sum + (n - mean) ** 2 / mean, 0);
};

it('is the same on every host, for ever: these must never change', () => {
  expect(['', 'a', 'user-1', 'user-2', 'Zoë', '用户'].map((id) => levelOf(id, HOUR))).toEqual([29, 78, 45, 23, 73, 30]);
  expect([0, 1, HOUR + 1].map((hour) => levelOf('user-1', hour))).toEqual([108, 66, 114]);
});

it('is a whole number from 0 to 127 for any id and hour', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), fc.integer(), (id, hour) => {
      const level = levelOf(id, hour);
      expect(Number.isInteger(level) && level >= 0 && level < 128 && level === levelOf(id, hour)).toBe(true);
    }),
  );
});

it('spreads users evenly, also ids that count up', () => {
  const counts = Array<number>(128).fill(0);
  for (const user of users) (counts[levelOf(user, HOUR)] as number)++;
  expect(chiSquare(counts)).toBeLessThan(127 + 4 * Math.sqrt(254));
});

it('gives a user another place each hour, whatever the one before', () => {
  const pairs = Array<number>(64).fill(0);
  for (const user of users) (pairs[(levelOf(user, HOUR) >> 4) * 8 + (levelOf(user, HOUR + 1) >> 4)] as number)++;
  expect(chiSquare(pairs)).toBeLessThan(63 + 4 * Math.sqrt(126));
});

it('over the hours every user has good ones and bad ones', () => {
  for (const user of users.slice(0, 100)) {
    const levels = Array.from({ length: 500 }, (_, i) => levelOf(user, HOUR + i));
    expect(levels.reduce((a, b) => a + b) / 500).toBeGreaterThan(55);
    expect(levels.reduce((a, b) => a + b) / 500).toBeLessThan(72);
  }
});
