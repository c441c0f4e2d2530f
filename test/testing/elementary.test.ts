import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { cosOfTurns, exp, log, log2, powerOfTen } from '../../src/testing/elementary.js';

/** Numbers with 260 binary places, as whole multiples of 2^-260. */
const PLACES = 260n;
const ONE = 1n << PLACES;
const times = (a: bigint, b: bigint): bigint => (a * b) >> PLACES;
const shifted = (a: bigint, by: number): bigint => (by >= 0 ? a << BigInt(by) : a >> BigInt(-by));

/** `x` = mantissa · 2^exponent, exactly. */
function partsOf(x: number): { mantissa: bigint; exponent: number } {
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, x);
  const bits = view.getBigUint64(0);
  const biased = Number((bits >> 52n) & 2047n);
  const fraction = bits & ((1n << 52n) - 1n);
  const size = biased === 0 ? fraction : fraction | (1n << 52n);
  return { mantissa: x < 0 ? -size : size, exponent: Math.max(1, biased) - 1_075 };
}

/** `x` · 2^-`scale`. */
const exact = (x: number, scale = 0): bigint => {
  const { mantissa, exponent } = partsOf(x);
  return shifted(mantissa, exponent - scale + Number(PLACES));
};

/** How far `got` · 2^-`scale` is from `wanted`, in units of the last place of `got`. */
function ulps(got: number, wanted: bigint, scale = 0): number {
  const ulp = shifted(ONE, partsOf(got).exponent - scale);
  return Number(((exact(got, scale) - wanted) * 1_000n) / ulp) / 1_000;
}

/** Σ of terms, from the first on until they vanish. */
function series(first: bigint, next: (term: bigint, n: bigint) => bigint): bigint {
  let sum = 0n;
  let n = 0n;
  for (let term = first; term !== 0n && term !== -1n; term = next(term, n)) {
    sum += term;
    n++;
  }
  return sum;
}

/** atanh x = Σ x²ⁿ⁺¹ / (2n + 1). */
function atanh(x: bigint): bigint {
  const square = times(x, x);
  let power = x;
  let sum = 0n;
  for (let n = 1n; power !== 0n && power !== -1n; n += 2n) {
    sum += power / n;
    power = times(power, square);
  }
  return sum;
}

const LN2 = 2n * atanh(ONE / 3n);

function exactLog(x: number): bigint {
  const { mantissa, exponent } = partsOf(x);
  const length = mantissa.toString(2).length;
  const m = shifted(mantissa, Number(PLACES) - length + 1);
  return 2n * atanh(((m - ONE) << PLACES) / (m + ONE)) + BigInt(exponent + length - 1) * LN2;
}

/** e^x · 2^-`scale`. */
function exactExp(x: number): { value: bigint; scale: number } {
  const scale = Math.round(x / Math.LN2);
  const rest = exact(x) - BigInt(scale) * LN2;
  return { value: series(ONE, (term, n) => times(term, rest) / n), scale };
}

/** π by Machin's formula. */
const arctanOfOneIn = (n: bigint): bigint => {
  let power = ONE / n;
  let sum = 0n;
  for (let k = 1n; power !== 0n; k += 2n) {
    sum += k % 4n === 1n ? power / k : -(power / k);
    power /= n * n;
  }
  return sum;
};
const PI = 4n * (4n * arctanOfOneIn(5n) - arctanOfOneIn(239n));

function exactCosOfTurns(turns: number): bigint {
  const angle = times(2n * PI, exact(turns));
  const square = times(angle, angle);
  return series(ONE, (term, n) => -times(term, square) / ((2n * n - 1n) * (2n * n)));
}

const positive = fc.double({ min: Number.MIN_VALUE, max: Number.MAX_VALUE, noNaN: true });
const near = fc.double({ min: 0, max: 2, minExcluded: true, noNaN: true });
const RUNS = { numRuns: 400 };

describe('elementary functions are within 1 ulp or little more of the true value, and 2 of Math:', () => {
  it('log', () => {
    fc.assert(
      fc.property(fc.oneof(positive, near), (x) => {
        expect(Math.abs(ulps(log(x), exactLog(x)))).toBeLessThan(1);
        expect(Math.abs(ulps(log(x), exact(Math.log(x))))).toBeLessThanOrEqual(2);
      }),
      RUNS,
    );
  });

  it('log2, exactly at powers of 2', () => {
    for (let n = -1_074; n <= 1_023; n++) expect(log2(2 ** n)).toBe(n);
    fc.assert(
      fc.property(fc.oneof(positive, near), (x) => {
        expect(Math.abs(ulps(log2(x), (exactLog(x) << PLACES) / LN2))).toBeLessThan(2);
        expect(Math.abs(ulps(log2(x), exact(Math.log2(x))))).toBeLessThanOrEqual(2);
      }),
      RUNS,
    );
  });

  it('exp', () => {
    const argument = fc.oneof(
      fc.double({ min: -745, max: 709.78, noNaN: true }),
      fc.double({ min: -5, max: 5, noNaN: true }),
    );
    fc.assert(
      fc.property(argument, (x) => {
        const { value, scale } = exactExp(x);
        expect(Math.abs(ulps(exp(x), value, scale))).toBeLessThan(1);
        expect(Math.abs(ulps(exp(x), exact(Math.exp(x), scale), scale))).toBeLessThanOrEqual(2);
      }),
      RUNS,
    );
  });

  it('the cosine of turns', () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 1, noNaN: true }), (x) => {
        expect(Math.abs(ulps(cosOfTurns(x), exactCosOfTurns(x)))).toBeLessThan(1.5);
        expect(Math.abs(cosOfTurns(x) - Math.cos(2 * Math.PI * x))).toBeLessThan(1e-15);
      }),
      RUNS,
    );
  });
});

describe('elementary functions', () => {
  it('say what Math says where there is nothing to compute', () => {
    for (const x of [0, -0, -1, Infinity, -Infinity, Number.NaN]) {
      expect([log(x), log2(x), exp(x)]).toEqual([Math.log(x), Math.log2(x), Math.exp(x)]);
    }
    for (const x of [710, -746, 1e300, -1e300]) expect(exp(x)).toBe(Math.exp(x));
    expect([0, 0.25, 0.5, 0.75, 1].map(cosOfTurns)).toEqual([1, -0, -1, 0, 1]);
  });

  it('have these bits in every version and on every engine', () => {
    const bits = (x: number): string => {
      const view = new DataView(new ArrayBuffer(8));
      view.setFloat64(0, x);
      return view.getBigUint64(0).toString(16).padStart(16, '0');
    };
    expect([0.1, 0.7, 1.5, 10, 1e-300, 1e300].map((x) => bits(log(x)))).toEqual([
      'c0026bb1bbb55515',
      'bfd6d3c324e13f50',
      '3fd9f323ecbf984c',
      '40026bb1bbb55516',
      'c085963447f87fb5',
      '4085963447f87fb5',
    ]);
    expect([-20, -0.3, 0.1, 1, 5.5, 700].map((x) => bits(exp(x)))).toEqual([
      '3e21b48655f37267',
      '3fe7b4c869c37c05',
      '3ff1aec7b35a00d4',
      '4005bf0a8b14576a',
      '406e96244f21bbf6',
      '7f0d945df4f8ec8e',
    ]);
    expect([0.01, 0.1, 0.24, 0.3, 0.6, 0.9].map((x) => bits(cosOfTurns(x)))).toEqual([
      '3fefefd5bfe443fe',
      '3fe9e3779b97f4a8',
      '3fb0130a1be0937d',
      'bfd3c6ef372fe94e',
      'bfe9e3779b97f4a8',
      '3fe9e3779b97f4a8',
    ]);
    expect([0.1, 3, 1e5].map((x) => bits(log2(x)))).toEqual([
      'c00a934f0979a371',
      '3ff95c01a39fbd69',
      '40309c1165ec0627',
    ]);
  });

  it('know the power of ten below a number', () => {
    expect([1, 9.99, 10, 999, 1_000, 0.05, 1e-7, 1e22].map(powerOfTen)).toEqual([
      1, 1, 10, 100, 1_000, 0.01, 1e-7, 1e22,
    ]);
  });
});
