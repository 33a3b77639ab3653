/** Counts and sizes as people read them: three significant digits where they compare, every digit where they count. */

/** A whole number in full, with separators: `1,048,576`. */
export function formatWhole(value: number): string {
  return Math.round(value).toLocaleString('en-US');
}

/** A count, abbreviated from a hundred thousand on: `12,345`, `260K`, `1.05M`, `6.74B`. */
export function formatCount(value: number): string {
  return value < 1e5 ? formatWhole(value) : scaled(value, ['K', 'M', 'B', 'T']);
}

/** A number of bytes in decimal units, as file managers and model hubs write them: `1.04 MB`. */
export function formatBytes(value: number): string {
  return value < 1000 ? `${formatWhole(value)} bytes` : scaled(value, [' KB', ' MB', ' GB', ' TB']);
}

/** Three significant digits without trailing zeros: `94.7`, `0.123`; whole numbers from 1,000 on in full. */
export function significant(value: number): string {
  if (value === 0) return '0';
  const size = Math.abs(value);
  if (size >= 999.5) return formatWhole(value);
  if (size < 1e-4) return value.toExponential(1).replace('e-', 'e−');
  const decimals = Math.max(0, 2 - Math.floor(Math.log10(size)));
  const rounded = value.toFixed(Math.min(decimals, 7));
  return rounded.includes('.') ? rounded.replace(/\.?0+$/, '') : rounded;
}

/** An estimated time: `40 s`, `12 min`, `3.5 h`. */
export function formatEstimate(seconds: number): string {
  if (seconds < 90) return `${Math.max(1, Math.round(seconds))} s`;
  const minutes = seconds / 60;
  return minutes < 90 ? `${Math.round(minutes)} min` : `${(minutes / 60).toFixed(1)} h`;
}

/** `value` in the first of `units` (thousands, millions ...) in which three digits stay below 1,000. */
function scaled(value: number, units: readonly string[]): string {
  let unit = 0;
  let rest = value / 1000;
  while (rest >= 999.5 && unit < units.length - 1) {
    rest /= 1000;
    unit++;
  }
  return `${significant(rest)}${units[unit]}`;
}
