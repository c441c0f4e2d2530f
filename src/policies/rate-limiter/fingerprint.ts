/**
 * HalfSipHash-1-3 (Aumasson and Bernstein, as in the Linux kernel's hash tables) of a string's UTF-16 code units,
 * low byte first: 64 bits that cannot be predicted without the seed, so an attacker cannot choose keys that collide.
 */
export class Fingerprint {
  readonly #seed0: number;
  readonly #seed1: number;
  /** The second half of the latest result. */
  low = 0;

  constructor(seed: Uint32Array) {
    this.#seed0 = seed[0] as number;
    this.#seed1 = seed[1] as number;
  }

  /** The first half, ±2^31; the second one is in `low`. */
  of(text: string): number {
    let v0 = this.#seed0 | 0;
    let v1 = this.#seed1 ^ 0xee;
    let v2 = this.#seed0 ^ 0x6c796765;
    let v3 = this.#seed1 ^ 0x74656462;
    const { length } = text;
    // After the text its length in bytes, and three rounds for each half of the result.
    const words = (length >> 1) + 1;
    let high = 0;
    for (let round = 0; round < words + 6; round++) {
      let word = 0;
      if (round < words - 1) {
        word = text.charCodeAt(2 * round) | (text.charCodeAt(2 * round + 1) << 16);
      } else if (round === words - 1) {
        word = (length << 25) | (length & 1 ? text.charCodeAt(length - 1) : 0);
      } else if (round === words) {
        v2 ^= 0xee;
      } else if (round === words + 3) {
        high = v1 ^ v3;
        v1 ^= 0xdd;
      }
      v3 ^= word;
      v0 = (v0 + v1) | 0;
      v1 = (v1 << 5) | (v1 >>> 27);
      v1 ^= v0;
      v0 = (v0 << 16) | (v0 >>> 16);
      v2 = (v2 + v3) | 0;
      v3 = (v3 << 8) | (v3 >>> 24);
      v3 ^= v2;
      v0 = (v0 + v3) | 0;
      v3 = (v3 << 7) | (v3 >>> 25);
      v3 ^= v0;
      v2 = (v2 + v1) | 0;
      v1 = (v1 << 13) | (v1 >>> 19);
      v1 ^= v2;
      v2 = (v2 << 16) | (v2 >>> 16);
      v0 ^= word;
    }
    this.low = v1 ^ v3;
    return high;
  }
}
