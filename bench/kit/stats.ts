/** The value below which `share` of the values lie, interpolated. */
function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  const place = (sorted.length - 1) * share;
  const below = sorted[Math.floor(place)] ?? Number.NaN;
  const above = sorted[Math.ceil(place)] ?? Number.NaN;
  return below + (above - below) * (place % 1);
}

export const median = (values: readonly number[]): number => quantile(values, 0.5);

export const quartiles = (values: readonly number[]): [number, number] => [
  quantile(values, 0.25),
  quantile(values, 0.75),
];

/** Half the distance between the quartiles, as a share of the median: half of the rounds are at most so far off. */
export const spreadRatio = (values: readonly number[]): number =>
  (quantile(values, 0.75) - quantile(values, 0.25)) / 2 / median(values);

export const mean = (values: readonly number[]): number => values.reduce((sum, one) => sum + one, 0) / values.length;

/** By how much figures > 0 vary from one to the next, as a share: the sample standard deviation of their logarithms. */
export function relativeDeviation(values: readonly number[]): number {
  const logs = values.map(Math.log);
  const middle = mean(logs);
  return Math.sqrt(logs.reduce((sum, one) => sum + (one - middle) ** 2, 0) / (values.length - 1));
}
