/** The value below which the given part of the values lies; NaN for none. */
export function percentile(values: readonly number[], part: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  const index = Math.min(sorted.length - 1, Math.max(0, Math.ceil(part * sorted.length) - 1));
  return sorted[index] ?? Number.NaN;
}

export function median(values: readonly number[]): number {
  return percentile(values, 0.5);
}

export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** By how much `ys` grow when `xs` grow by one: the slope of the line with the least squares. */
export function slope(xs: readonly number[], ys: readonly number[]): number {
  const [x, y] = [mean(xs), mean(ys)];
  const products = xs.map((value, i) => (value - x) * ((ys[i] ?? 0) - y));
  const squares = xs.map((value) => (value - x) ** 2);
  return mean(products) / mean(squares);
}

/** The ratio of each value to the one of the same round. */
export function ratios(values: readonly number[], basis: readonly number[]): number[] {
  return values.map((value, round) => value / (basis[round] ?? Number.NaN));
}
