import { afterEach, expect, it, vi } from 'vitest';
import { randomWords, systemRandom } from '../../../src/core/numbers/random.js';

afterEach(() => vi.restoreAllMocks());

it('systemRandom is the host’s', () => {
  vi.spyOn(Math, 'random').mockReturnValueOnce(0.25).mockReturnValueOnce(0.75);
  expect([systemRandom(), systemRandom()]).toEqual([0.25, 0.75]);
});

it('words come from the source for keys and never from Math.random', () => {
  const guessable = vi.spyOn(Math, 'random');
  const secret = vi.spyOn(crypto, 'getRandomValues').mockImplementation((words) => {
    (words as Uint32Array).set([7, 8, 9]);
    return words;
  });
  expect([...randomWords(3, systemRandom)]).toEqual([7, 8, 9]);
  expect(secret).toHaveBeenCalledTimes(1);
  expect(guessable).not.toHaveBeenCalled();
});

it('words of the user’s own random can be told beforehand', () => {
  const numbers = [0, 0.5, 1 - 2 ** -32];
  expect([...randomWords(3, () => numbers.shift() as number)]).toEqual([0, 2 ** 31, 2 ** 32 - 1]);
});
