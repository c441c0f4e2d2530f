import { seededRandom } from 'evenkeel/testing';
import { describe, expect, it } from 'vitest';

const take = (seed: number, count: number): number[] => {
  const random = seededRandom(seed);
  return Array.from({ length: count }, random);
};

describe('seededRandom', () => {
  it('gives the same numbers for the same seed, and goes on giving new ones', () => {
    expect(take(42, 1_000)).toEqual(take(42, 1_000));
    expect(new Set(take(42, 10_000)).size).toBe(10_000);
  });

  it('gives these numbers, on every platform and in every version', () => {
    expect(take(1, 4)).toEqual([0.5374428291184112, 0.0824300509240643, 0.652478863472476, 0.08278222564896376]);
    expect(take(-7, 2)).toEqual([0.3092055302969767, 0.6675416440550528]);
  });

  it('stays in [0, 1), and uses all 53 bits', () => {
    const numbers = take(7, 100_000);
    expect(numbers.every((x) => x >= 0 && x < 1)).toBe(true);
    expect(numbers.every((x) => Number.isInteger(x * 2 ** 53))).toBe(true);
    expect(numbers.filter((x) => (x * 2 ** 53) % 2 === 1).length).toBeGreaterThan(45_000);
  });

  it.each([0, 1, 2, -1, 123_456_789, 2 ** 31, 2 ** 40, Number.MAX_SAFE_INTEGER])('is uniform: seed %s', (seed) => {
    const count = 100_000;
    const bins = 100;
    const numbers = take(seed, count);
    const mean = numbers.reduce((sum, x) => sum + x, 0) / count;
    // Standard deviation of the mean: 1 / √(12 · count).
    expect(Math.abs(mean - 0.5)).toBeLessThan(5 / Math.sqrt(12 * count));
    const seen = new Array<number>(bins).fill(0);
    for (const x of numbers) seen[Math.floor(x * bins)] = (seen[Math.floor(x * bins)] as number) + 1;
    const chiSquared = seen.reduce((sum, n) => sum + (n - count / bins) ** 2 / (count / bins), 0);
    // 99 degrees of freedom: mean 99, standard deviation 14.1.
    expect(chiSquared).toBeGreaterThan(99 - 5 * 14.1);
    expect(chiSquared).toBeLessThan(99 + 5 * 14.1);
    const products = numbers.slice(1).map((x, i) => (x - 0.5) * ((numbers[i] as number) - 0.5));
    const correlation = (12 * products.reduce((sum, x) => sum + x, 0)) / count;
    expect(Math.abs(correlation)).toBeLessThan(5 / Math.sqrt(count));
  });

  it('gives seeds that are close together, or differ in their high bits only, nothing in common', () => {
    const seeds = [...Array(500).keys(), ...Array.from({ length: 20 }, (_, i) => 2 ** (32 + i)), -1, -2, -(2 ** 32)];
    const firsts = seeds.map((seed) => seededRandom(seed)());
    expect(new Set(firsts).size).toBe(seeds.length);
    const mean = firsts.reduce((sum, x) => sum + x, 0) / firsts.length;
    expect(Math.abs(mean - 0.5)).toBeLessThan(5 / Math.sqrt(12 * firsts.length));
  });

  it.each([0.5, NaN, Infinity, 2 ** 54, -(2 ** 54), '1', null, undefined])('refuses %s for a seed', (seed) => {
    expect(() => seededRandom(seed as number)).toThrow(/^seededRandom: seed must be a whole number.*, got /);
  });
});
