/** How a cost grows with the number of things, by least squares. */

/** A number of things, and what an operation costs with so many, ns. */
export type Measured = readonly [count: number, ns: number];

export interface Fit {
  shape: 'flat' | 'logarithmic' | 'linear';
  /** Cost = base + slope · f(count); f is log2 of the count, or the count itself. Flat: slope 0. */
  base: number;
  slope: number;
}

/** Less growth than this over the whole sweep is none: figures vary by as much. */
const FLAT_RATIO = 1.25;

function leastSquares(points: readonly Measured[], f: (count: number) => number): { base: number; slope: number } {
  const meanX = points.reduce((sum, [count]) => sum + f(count), 0) / points.length;
  const meanY = points.reduce((sum, [, ns]) => sum + ns, 0) / points.length;
  let covariance = 0;
  let variance = 0;
  for (const [count, ns] of points) {
    covariance += (f(count) - meanX) * (ns - meanY);
    variance += (f(count) - meanX) ** 2;
  }
  const slope = variance === 0 ? 0 : covariance / variance;
  return { base: meanY - slope * meanX, slope };
}

const errorOf = (points: readonly Measured[], f: (count: number) => number, base: number, slope: number): number =>
  points.reduce((sum, [count, ns]) => sum + (ns - base - slope * f(count)) ** 2, 0);

/**
 * Flat where the fitted cost of the most is within a quarter of that of the fewest; else which of the two curves passes
 * nearer.
 *
 * @param points at least two, by rising count
 */
export function fitOf(points: readonly Measured[]): Fit {
  const logarithmic = leastSquares(points, Math.log2);
  const identity = (count: number): number => count;
  const linear = leastSquares(points, identity);
  const logError = errorOf(points, Math.log2, logarithmic.base, logarithmic.slope);
  const linearError = errorOf(points, identity, linear.base, linear.slope);
  const isLogarithmic = logError <= linearError;
  const { base, slope } = isLogarithmic ? logarithmic : linear;
  const f = isLogarithmic ? Math.log2 : identity;
  const counts = points.map(([count]) => count);
  const [least, most] = [base + slope * f(Math.min(...counts)), base + slope * f(Math.max(...counts))];
  const mean = points.reduce((sum, [, ns]) => sum + ns, 0) / points.length;
  if (most <= least * FLAT_RATIO) return { shape: 'flat', base: mean, slope: 0 };
  return { shape: isLogarithmic ? 'logarithmic' : 'linear', base, slope };
}
