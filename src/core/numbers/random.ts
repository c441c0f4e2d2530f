/** A number in [0, 1), each call a new one. Tests pass `seededRandom(seed)` of `evenkeel/testing`. */
export type Random = () => number;

/** The host's `Math.random`. */
export const systemRandom: Random = () => Math.random();

/** Words that outsiders cannot predict, unless the user's own `random` was given, as in tests. */
export function randomWords(count: number, random: Random): Uint32Array {
  const words = new Uint32Array(count);
  return random === systemRandom ? crypto.getRandomValues(words) : words.map(() => random() * 2 ** 32);
}
