import { COLOR_SCALE, scaleStep } from '../ui/colorScale.ts';

/** The state of a cell, independent of the measure. */
export const CELL = { none: 0, pending: 1, skipped: 2, preview: 3, exact: 4 } as const;

/** Where the values of a group lie on the colour scale, 0 to 1. */
export interface Spread {
  /** The lower and the upper quartile. */
  readonly quartiles: readonly [number, number];
}

/** The values of all matrices for one measure, indexed like `Layout.matrices`, and then those of the groups. */
export interface CellValues {
  readonly states: Uint8Array;
  /** The displayed value; NaN if there is none (yet). */
  readonly values: Float64Array;
  /** Position on the colour scale, 0 to 1; NaN without a value. */
  readonly shares: Float64Array;
  /** Lowest and highest value, which are the ends of the legend; null without values. */
  readonly domain: readonly [number, number] | null;
  /** Of groups with at least two values, by index. */
  readonly spreads: ReadonlyMap<number, Spread>;
}

/** Position of `value` between the ends of `domain`, 0 to 1; the middle if the ends are equal. */
export function shareOf(value: number, domain: readonly [number, number] | null, scale: 'linear' | 'log'): number {
  if (!domain || Number.isNaN(value)) return Number.NaN;
  const [low, high] = domain;
  // Zero has no logarithm; norms of zero get the lowest colour.
  if (scale === 'log' && low >= 0 && high > 0) {
    const floor = Math.max(low, high * 1e-12);
    if (high <= floor) return 0.5;
    return Math.log(Math.max(value, floor) / floor) / Math.log(high / floor);
  }
  return high > low ? (value - low) / (high - low) : 0.5;
}

/** Colours of cells without a value, as red, green, blue and alpha bytes. */
export interface NeutralColors {
  readonly pending: readonly [number, number, number, number];
  readonly skipped: readonly [number, number, number, number];
}

/**
 * One RGBA pixel per cell, row-major: the image that the heatmap stretches over its grid. Previewed cells are slightly
 * transparent, so that they look weaker even where cells are too small for hatching.
 */
export function paintCells(
  cells: Int32Array,
  { states, shares }: CellValues,
  neutral: NeutralColors,
): Uint8ClampedArray<ArrayBuffer> {
  const pixels = new Uint8ClampedArray(cells.length * 4);
  for (let cell = 0; cell < cells.length; cell++) {
    const index = cells[cell]!;
    if (index < 0) continue;
    const at = cell * 4;
    const share = shares[index]!;
    if (Number.isNaN(share)) {
      pixels.set(states[index] === CELL.pending ? neutral.pending : neutral.skipped, at);
      continue;
    }
    const step = scaleStep(share) * 3;
    pixels[at] = COLOR_SCALE[step]!;
    pixels[at + 1] = COLOR_SCALE[step + 1]!;
    pixels[at + 2] = COLOR_SCALE[step + 2]!;
    pixels[at + 3] = states[index] === CELL.preview ? PREVIEW_ALPHA : 255;
  }
  return pixels;
}

const PREVIEW_ALPHA = 200;
