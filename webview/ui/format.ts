import { formatWhole, significant } from '../../src/base/quantities.ts';

/** Stands for a missing number. */
export const NONE = '–';

/** A share as a percentage: `94.7 %`, `0.123 %`. Never `100 %` for anything less. */
export function formatPercent(share: number): string {
  const percent = share * 100;
  if (percent !== 100 && percent > 99.9 && percent < 100.05)
    return `${percent < 100 ? floorTo(percent, 3) : significant(percent)} %`;
  return `${significant(percent)} %`;
}

/** A measured value with three significant digits, whole numbers in full. */
export function formatValue(value: number): string {
  if (!Number.isFinite(value)) return NONE;
  if (Number.isInteger(value)) return formatWhole(value);
  const size = Math.abs(value);
  if (size >= 1e6 || size < 1e-3) return value.toExponential(2).replace('e-', 'e−').replace('e+', 'e');
  return significant(value);
}

/**
 * An axis label of at most five characters: `0.05`, `2000`, `1e−12`. For round values only: it may keep just the
 * leading digit.
 */
export function formatTick(value: number): string {
  const size = Math.abs(value);
  if (value === 0 || (size >= 9.99e-3 && size < 1e4)) return String(Number(value.toPrecision(3)));
  return value.toExponential(0).replace('e-', 'e−').replace('e+', 'e');
}

/** A time span: `12 ms`, `0.4 s`, `12 s`, `3 min 20 s`, `2 h 5 min`. */
export function formatDuration(seconds: number): string {
  if (seconds < 0.0995) return `${significant(seconds * 1000)} ms`;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

/** `4096 × 11008`. */
export function formatShape(shape: readonly number[]): string {
  return shape.length === 0 ? 'scalar' : shape.join(' × ');
}

function floorTo(value: number, decimals: number): string {
  const factor = 10 ** decimals;
  return (Math.floor(value * factor) / factor).toFixed(decimals).replace(/\.?0+$/, '');
}
