/** How numbers are written on the pages: three significant digits where a person compares, every digit where one counts. */

/** Marks a number that is not there. */
export const NONE = '–';

/** A whole number in full, with separators: `1,048,576`. */
export function formatWhole(value: number): string {
  return Math.round(value).toLocaleString('en-US');
}

/** A count, short from a hundred thousand on: `12,345`, `260 K`, `1.05 M`, `6.74 B`. */
export function formatCount(value: number): string {
  const size = Math.abs(value);
  if (size < 1e5) return formatWhole(value);
  const [unit, divisor] =
    size < 999_500 ? ['K', 1e3] : size < 999.5e6 ? ['M', 1e6] : size < 999.5e9 ? ['B', 1e9] : ['T', 1e12];
  return `${significant(value / (divisor as number))} ${unit}`;
}

/** Bytes in decimal units, as file managers and model hubs write them: `1.04 MB`. */
export function formatBytes(value: number): string {
  if (value < 1000) return `${formatWhole(value)} bytes`;
  const [unit, divisor] =
    value < 999_500 ? ['KB', 1e3] : value < 999.5e6 ? ['MB', 1e6] : value < 999.5e9 ? ['GB', 1e9] : ['TB', 1e12];
  return `${significant(value / (divisor as number))} ${unit}`;
}

/** A share as percent: `94.7 %`, `0.123 %`, and never `100 %` for what is not whole. */
export function formatPercent(share: number): string {
  const percent = share * 100;
  if (percent !== 100 && percent > 99.9 && percent < 100.05)
    return `${percent < 100 ? floorTo(percent, 3) : significant(percent)} %`;
  return `${significant(percent)} %`;
}

/** A measured value with three significant digits; whole numbers in full. */
export function formatValue(value: number): string {
  if (!Number.isFinite(value)) return NONE;
  if (Number.isInteger(value)) return formatWhole(value);
  const size = Math.abs(value);
  if (size >= 1e6 || size < 1e-3) return value.toExponential(2).replace('e-', 'e−').replace('e+', 'e');
  return significant(value);
}

/** A value at an axis, in five characters: `0.05`, `2000`, `1e−12`. Only for round values, whose leading digit says all. */
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

function significant(value: number): string {
  if (value === 0) return '0';
  const size = Math.abs(value);
  if (size >= 999.5) return formatWhole(value);
  if (size < 1e-4) return value.toExponential(1).replace('e-', 'e−');
  const decimals = Math.max(0, 2 - Math.floor(Math.log10(size)));
  const rounded = value.toFixed(Math.min(decimals, 7));
  return rounded.includes('.') ? rounded.replace(/\.?0+$/, '') : rounded;
}

function floorTo(value: number, decimals: number): string {
  const factor = 10 ** decimals;
  return (Math.floor(value * factor) / factor).toFixed(decimals).replace(/\.?0+$/, '');
}
