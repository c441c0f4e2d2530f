import type { Random } from '../core/numbers/random.js';
import { checkNumber } from '../core/options/validate.js';

/**
 * A random source that gives the same numbers for the same seed on every platform (sfc32, Chris Doty-Humphrey's Small
 * Fast Counter generator; 53 bits a number).
 *
 * @param seed a whole number, ±2^53
 * @throws TypeError or RangeError for another seed
 */
export function seededRandom(seed: number): Random {
  checkNumber('seededRandom', 'seed', seed, { integer: true, min: -(2 ** 53), max: 2 ** 53 });
  let a = seed | 0;
  let b = Math.floor(seed / 2 ** 32) | 0;
  let c = 0x9e3779b9 | 0;
  let counter = 1;
  const next = (): number => {
    const sum = (((a + b) | 0) + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (c << 21) | (c >>> 11);
    c = (c + sum) | 0;
    return sum >>> 0;
  };
  // Seeds that are close together start alike until they are mixed.
  for (let i = 0; i < 15; i++) next();
  return () => ((next() >>> 5) * 2 ** 26 + (next() >>> 6)) / 2 ** 53;
}
