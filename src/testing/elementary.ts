/**
 * Elementary functions with the same bits on every engine. Of `Math` only what IEEE 754 rounds (`sqrt`) has them:
 * `Math.log` of two engines may differ in the last bit, and from there on two simulations differ in every call.
 *
 * The argument is reduced and the parts are added as in fdlibm (K. C. Ng, Sun Microsystems, 1993: e_log.c, e_exp.c,
 * k_cos.c), which keeps the error near 1 ulp; between the two stand plain power series, long enough for the reduced
 * range.
 */

/** ln 2 in two parts. The first ends in 21 zero bits, so that its product with an exponent is exact. */
const LN2_HIGH = 0.6931471803691238;
const LN2_LOW = 1.9082149292705877e-10;

// The highest power first.

/** 2 atanh(s) = 2s + s · Σ 2s²ᵏ / (2k + 1), for |s| ≤ 0.172. */
const LOG_SERIES = [2 / 23, 2 / 21, 2 / 19, 2 / 17, 2 / 15, 2 / 13, 2 / 11, 2 / 9, 2 / 7, 2 / 5, 2 / 3];
/** r · (eʳ + 1) / (eʳ − 1) = 2 + Σ 2 B₂ₖ r²ᵏ / (2k)! with Bernoulli's numbers, for |r| ≤ 0.347. */
const EXP_SERIES = [
  1 / 37_362_124_800,
  -691 / 653_837_184_000,
  1 / 23_950_080,
  -1 / 604_800,
  1 / 15_120,
  -1 / 360,
  1 / 6,
];
/** cos x = 1 − x²/2 + Σ ± xⁿ / n!, for |x| ≤ π/4. */
const COS_SERIES = [
  -1 / 6_402_373_705_728_000,
  1 / 20_922_789_888_000,
  -1 / 87_178_291_200,
  1 / 479_001_600,
  -1 / 3_628_800,
  1 / 40_320,
  -1 / 720,
  1 / 24,
];
/** sin x = x + Σ ± xⁿ / n!, for |x| ≤ π/4. */
const SIN_SERIES = [
  1 / 355_687_428_096_000,
  -1 / 1_307_674_368_000,
  1 / 6_227_020_800,
  -1 / 39_916_800,
  1 / 362_880,
  -1 / 5_040,
  1 / 120,
  -1 / 6,
];

function polynomial(coefficients: readonly number[], x: number): number {
  let sum = 0;
  for (const coefficient of coefficients) sum = sum * x + coefficient;
  return sum;
}

/** Natural logarithm. */
export function log(x: number): number {
  if (!(x > 0 && x < Infinity)) return x === 0 ? -Infinity : x > 0 ? Infinity : Number.NaN;
  const { mantissa, exponent } = split(x);
  return exponent * LN2_HIGH + logNearOne(mantissa, exponent * LN2_LOW);
}

/** Logarithm to the base 2; exact for powers of 2. */
export function log2(x: number): number {
  if (!(x > 0 && x < Infinity)) return log(x);
  const { mantissa, exponent } = split(x);
  return exponent + logNearOne(mantissa, 0) * Math.LOG2E;
}

/** `x` = `mantissa` · 2^`exponent` with √½ ≤ mantissa < √2, for a finite x > 0. */
function split(x: number): { mantissa: number; exponent: number } {
  let mantissa = x;
  let exponent = 0;
  for (; mantissa < 2 ** -64; exponent -= 64) mantissa *= 2 ** 64;
  for (; mantissa > 2 ** 64; exponent += 64) mantissa *= 2 ** -64;
  for (; 2 * mantissa < Math.SQRT2; exponent--) mantissa *= 2;
  for (; mantissa >= Math.SQRT2; exponent++) mantissa /= 2;
  return { mantissa, exponent };
}

/** ln x + `low`, for √½ ≤ x < √2. */
function logNearOne(x: number, low: number): number {
  const f = x - 1;
  const s = f / (2 + f);
  const z = s * s;
  const half = (f * f) / 2;
  return f - (half - (s * (half + z * polynomial(LOG_SERIES, z)) + low));
}

/** e to the power of `x`. */
export function exp(x: number): number {
  if (Number.isNaN(x) || x > 709.782712893384) return x + Infinity;
  if (x < -745.1332191019412) return 0;
  const n = Math.round(x * Math.LOG2E);
  const high = x - n * LN2_HIGH;
  const low = n * LN2_LOW;
  const r = high - low;
  const z = r * r;
  const c = r - z * polynomial(EXP_SERIES, z);
  return scaled(1 - (low - (r * c) / (2 - c) - high), n);
}

/** `x` · 2ⁿ for |n| ≤ 1,075, rounded once. */
function scaled(x: number, n: number): number {
  // 2^1024 is not a finite number.
  if (n > 1_000) return scaled(2 * x, n - 1);
  let result = x;
  let factor = n < 0 ? 0.5 : 2;
  for (let left = Math.abs(n); left > 0; left >>= 1) {
    if (left % 2 === 1) result *= factor;
    factor *= factor;
  }
  return result;
}

/** Cosine of so many full turns, 0 ≤ `turns` ≤ 1: cos 2πx, of which no multiple of π has to be taken off. */
export function cosOfTurns(turns: number): number {
  const quarter = Math.round(4 * turns);
  const x = 2 * Math.PI * (turns - quarter / 4);
  const z = x * x;
  if (quarter % 2 === 0) {
    const rough = 1 - z / 2;
    const cos = rough + (1 - rough - z / 2 + z * z * polynomial(COS_SERIES, z));
    return quarter === 2 ? -cos : cos;
  }
  const sin = x + x * z * polynomial(SIN_SERIES, z);
  return quarter === 1 ? -sin : sin;
}

/** The greatest power of ten that is ≤ `x`, for a finite x > 0. `10 ** n` is not the same on every engine. */
export function powerOfTen(x: number): number {
  return Number(`1e${x.toExponential().split('e')[1]}`);
}
