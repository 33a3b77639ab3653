/** The colour scale of heatmaps and tables: computed, the same in all themes, and readable without colour vision. */

export const SCALE_SIZE = 256;

/** Hue (degrees) and chroma at fifths of the scale, interpolated in between. */
const HUES = [305, 277, 245, 195, 152, 108];
const CHROMAS = [0.11, 0.125, 0.105, 0.1, 0.14, 0.17];
const DARKEST = 0.28;
const LIGHTEST = 0.93;

/**
 * Red, green and blue of each of the 256 steps, from dark violet over teal to light yellow. OKLab lightness rises by
 * the same amount at every step, so that order can be read from lightness alone, even in greyscale. The hue moves from
 * blue to yellow, which people with red-green colour blindness can tell apart. OKLab: Ottosson 2020,
 * https://bottosson.github.io/posts/oklab/.
 */
export const COLOR_SCALE: Uint8Array = computeScale();

/** The colour at `share` of the scale, 0 to 1, as CSS. */
export function scaleColor(share: number): string {
  const [red, green, blue] = scaleRgb(share);
  return `rgb(${red}, ${green}, ${blue})`;
}

/** Black or white, whichever is easier to read on the colour at `share` (WCAG relative luminance). */
export function inkOn(share: number): '#000000' | '#ffffff' {
  const [red, green, blue] = scaleRgb(share).map((channel) => toLinear(channel / 255)) as [number, number, number];
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.179 ? '#000000' : '#ffffff';
}

/** The step of the scale for `share`, clamped to 0 to 1. */
export function scaleStep(share: number): number {
  return Math.min(SCALE_SIZE - 1, Math.max(0, Math.round(share * (SCALE_SIZE - 1))));
}

function scaleRgb(share: number): [number, number, number] {
  const at = scaleStep(share) * 3;
  return [COLOR_SCALE[at]!, COLOR_SCALE[at + 1]!, COLOR_SCALE[at + 2]!];
}

function computeScale(): Uint8Array {
  const table = new Uint8Array(SCALE_SIZE * 3);
  for (let step = 0; step < SCALE_SIZE; step++) {
    const share = step / (SCALE_SIZE - 1);
    const rgb = fromOklch(DARKEST + (LIGHTEST - DARKEST) * share, between(CHROMAS, share), between(HUES, share));
    table.set(rgb, step * 3);
  }
  return table;
}

function between(stops: readonly number[], share: number): number {
  const at = Math.min(share * (stops.length - 1), stops.length - 1 - 1e-9);
  const left = Math.floor(at);
  // A smooth step would slow the hue at every stop; Catmull-Rom interpolation keeps it moving evenly.
  const p0 = stops[Math.max(0, left - 1)]!;
  const p1 = stops[left]!;
  const p2 = stops[left + 1]!;
  const p3 = stops[Math.min(stops.length - 1, left + 2)]!;
  const t = at - left;
  return p1 + 0.5 * t * (p2 - p0 + t * (2 * p0 - 5 * p1 + 4 * p2 - p3 + t * (3 * (p1 - p2) + p3 - p0)));
}

/** sRGB bytes of an OKLCH colour. Chroma is reduced until the colour is in gamut; lightness is kept. */
function fromOklch(lightness: number, chroma: number, hue: number): number[] {
  for (let c = chroma; ; c -= 0.004) {
    const angle = (hue * Math.PI) / 180;
    const linear = oklabToLinear(lightness, c * Math.cos(angle), c * Math.sin(angle));
    if (c <= 0 || linear.every((channel) => channel >= -1e-4 && channel <= 1.0001)) {
      return linear.map((channel) => Math.round(255 * fromLinear(Math.min(1, Math.max(0, channel)))));
    }
  }
}

function oklabToLinear(lightness: number, a: number, b: number): number[] {
  const l = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const m = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const s = (lightness - 0.0894841775 * a - 1.291485548 * b) ** 3;
  return [
    4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s,
    -1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s,
    -0.0041960863 * l - 0.7034186147 * m + 1.707614701 * s,
  ];
}

function fromLinear(channel: number): number {
  return channel <= 0.0031308 ? 12.92 * channel : 1.055 * channel ** (1 / 2.4) - 0.055;
}

function toLinear(channel: number): number {
  return channel <= 0.04045 ? channel / 12.92 : ((channel + 0.055) / 1.055) ** 2.4;
}
