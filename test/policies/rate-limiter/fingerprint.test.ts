import { seededRandom } from 'evenkeel/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { randomWords, systemRandom } from '../../../src/core/numbers/random.js';
import { Fingerprint } from '../../../src/policies/rate-limiter/fingerprint.js';

/** HalfSipHash-c-d as its paper puts it: one step after the other, over bytes, 64 bits out. */
function halfSipHash(c: number, d: number, [k0, k1]: readonly [number, number], bytes: Uint8Array): [number, number] {
  const v = [k0, k1, 0x6c796765 ^ k0, 0x74656462 ^ k1].map((word) => word >>> 0) as [number, number, number, number];
  const turn = (x: number, by: number): number => ((x << by) | (x >>> (32 - by))) >>> 0;
  const rounds = (count: number): void => {
    for (let i = 0; i < count; i++) {
      v[0] = (v[0] + v[1]) >>> 0;
      v[1] = (turn(v[1], 5) ^ v[0]) >>> 0;
      v[0] = turn(v[0], 16);
      v[2] = (v[2] + v[3]) >>> 0;
      v[3] = (turn(v[3], 8) ^ v[2]) >>> 0;
      v[0] = (v[0] + v[3]) >>> 0;
      v[3] = (turn(v[3], 7) ^ v[0]) >>> 0;
      v[2] = (v[2] + v[1]) >>> 0;
      v[1] = (turn(v[1], 13) ^ v[2]) >>> 0;
      v[2] = turn(v[2], 16);
    }
  };
  v[1] = (v[1] ^ 0xee) >>> 0;
  const padded = new Uint8Array(Math.floor(bytes.length / 4) * 4 + 4);
  padded.set(bytes);
  padded[padded.length - 1] = bytes.length & 0xff;
  const view = new DataView(padded.buffer);
  for (let i = 0; i < padded.length; i += 4) {
    const word = view.getUint32(i, true);
    v[3] = (v[3] ^ word) >>> 0;
    rounds(c);
    v[0] = (v[0] ^ word) >>> 0;
  }
  v[2] = (v[2] ^ 0xee) >>> 0;
  rounds(d);
  const first = (v[1] ^ v[3]) >>> 0;
  v[1] = (v[1] ^ 0xdd) >>> 0;
  rounds(d);
  return [first, (v[1] ^ v[3]) >>> 0];
}

const hex = (words: readonly [number, number]): string => {
  const out = Buffer.alloc(8);
  out.writeUInt32LE(words[0], 0);
  out.writeUInt32LE(words[1], 4);
  return out.toString('hex');
};

describe('the reference', () => {
  // The published vectors of HalfSipHash-2-4, 64 bits out, of the bytes 0, 1, 2 … with the key 00 … 07.
  it.each([
    [0, '218d1f59b9b83cc8'],
    [1, 'be552412f8387315'],
    [2, '064f39ef7c50eb57'],
    [3, 'ce0f1a45f7060679'],
    [4, 'd5e78a175be52ea1'],
    [7, 'ff202728b07bc684'],
    [8, 'edfee820bce4858c'],
    [63, '2ea63c71bf326087'],
  ])('gives the published result for %i bytes', (length, expected) => {
    const bytes = Uint8Array.from({ length }, (_, i) => i);
    expect(hex(halfSipHash(2, 4, [0x03020100, 0x07060504], bytes))).toBe(expected);
  });
});

describe('Fingerprint', () => {
  it('is HalfSipHash-1-3 of the UTF-16 code units', () => {
    const words = fc.nat(2 ** 32 - 1);
    const text = fc.oneof(fc.string(), fc.string({ unit: 'binary' }), fc.string({ minLength: 100, maxLength: 300 }));
    fc.assert(
      fc.property(words, words, text, (a, b, text) => {
        const fingerprint = new Fingerprint(Uint32Array.of(a, b));
        const high = fingerprint.of(text);
        const expected = halfSipHash(1, 3, [a, b], Buffer.from(text, 'utf16le'));
        expect([high >>> 0, fingerprint.low >>> 0]).toEqual(expected);
      }),
      { numRuns: 500 },
    );
  });

  it('has another seed in each process, unless the user gives a source of randomness', () => {
    const seeds = Array.from({ length: 100 }, () => String(randomWords(2, systemRandom)));
    expect(new Set(seeds).size).toBe(100);
    expect(randomWords(2, seededRandom(1))).toEqual(randomWords(2, seededRandom(1)));
    expect(randomWords(2, seededRandom(1))).not.toEqual(randomWords(2, seededRandom(2)));
    expect(randomWords(2, () => 1 - 2 ** -53)).toEqual(Uint32Array.of(2 ** 32 - 1, 2 ** 32 - 1));
  });
});
