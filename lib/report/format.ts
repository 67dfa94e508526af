// SPDX-License-Identifier: Apache-2.0

/** A fraction as percent: `0.0761` gives `7.6 %`. Not a number: a dash. */
export function percent(fraction: number | undefined, digits = 1): string {
  return fraction === undefined || !Number.isFinite(fraction) ? '-' : `${(fraction * 100).toFixed(digits)} %`;
}

/** Percentage points with sign: `-0.0009` gives `-0.09`. */
export function points(difference: number | undefined): string {
  if (difference === undefined || !Number.isFinite(difference)) return '-';
  const value = (difference * 100).toFixed(2);
  return Number(value) > 0 ? `+${value}` : value.replace(/^-(0\.00)$/, '$1');
}

/** A duration: `3.2 s`, `12:05`, `1:02:05`. */
export function duration(seconds: number): string {
  if (!Number.isFinite(seconds) || seconds < 0) return '-';
  if (seconds < 59.95) return `${seconds.toFixed(seconds < 9.995 ? 2 : 1)} s`;
  const whole = Math.round(seconds);
  const two = (n: number): string => String(n).padStart(2, '0');
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor(whole / 60) % 60;
  return hours > 0 ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}

/** Bytes in the unit that needs few digits: `976 B`, `12.3 KiB`, `1.20 MiB`. */
export function bytes(count: number): string {
  if (count < 1024) return `${count} B`;
  if (count < 1024 * 1024) return `${(count / 1024).toFixed(1)} KiB`;
  return `${(count / 1024 / 1024).toFixed(2)} MiB`;
}

/** A count with thin groups of three: `1 437 000` (no-break spaces). */
export function count(n: number): string {
  return String(n).replace(/\B(?=(\d{3})+(?!\d))/g, '\u00a0');
}

/** A loss: four significant digits. */
export function loss(value: number | undefined): string {
  if (value === undefined || !Number.isFinite(value)) return '-';
  const size = Math.abs(value);
  return size !== 0 && (size >= 1e5 || size < 1e-4) ? value.toExponential(2) : Number(value.toPrecision(4)).toString();
}

/** Mean of the finite values; `undefined` of none. */
export function mean(values: readonly (number | undefined)[]): number | undefined {
  const finite = values.filter((v): v is number => v !== undefined && Number.isFinite(v));
  return finite.length === 0 ? undefined : finite.reduce((a, b) => a + b, 0) / finite.length;
}

/** Sample standard deviation (n - 1); 0 for one value, `undefined` for none. */
export function deviation(values: readonly (number | undefined)[]): number | undefined {
  const centre = mean(values);
  if (centre === undefined) return undefined;
  const finite = values.filter((v): v is number => v !== undefined && Number.isFinite(v));
  if (finite.length < 2) return 0;
  return Math.sqrt(finite.reduce((sum, v) => sum + (v - centre) ** 2, 0) / (finite.length - 1));
}

/** Accuracy in percent with the spread over the seeds, if there are several: `97.20 % \u00b1 0.40`. */
export function meanAndSpread({ accuracyMean, accuracyStd }: { accuracyMean?: number | undefined; accuracyStd?: number | undefined }, seeds: number): string {
  const spread = seeds > 1 && accuracyMean !== undefined ? ` \u00b1 ${((accuracyStd ?? 0) * 100).toFixed(2)}` : '';
  return percent(accuracyMean, 2) + spread;
}
