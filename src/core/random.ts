/** A number in [0, 1), each call a new one. Tests pass `seededRandom(seed)` of `evenkeel/testing`. */
export type Random = () => number;

/** The host's `Math.random`. */
export const systemRandom: Random = () => Math.random();
