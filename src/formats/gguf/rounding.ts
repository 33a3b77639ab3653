/**
 * How far rounding moved the values of a block. A value that is rounded to a grid of step d is off by an error that is
 * about uniform in [-d/2, d/2], of variance d^2 / 12 (Bennett 1948; Widrow and Kollar, "Quantization Noise", 2008,
 * chapter 1). On levels that are not evenly spaced the same holds in each level's cell. Nothing is said of types that
 * round several values together (IQ1 to IQ3), nor of ternary ones, whose models are trained to be ternary.
 */

import { half, IQ4_LEVELS, signed, u16 } from './blocks.ts';

/** Mean squared rounding error of the values in the block at `at` of `bytes`. */
type BlockVariance = (bytes: Uint8Array, at: number) => number;

/** By type name. */
export const BLOCK_VARIANCES: ReadonlyMap<string, BlockVariance> = new Map<string, BlockVariance>([
  ...['Q4_0', 'Q4_1', 'Q5_0', 'Q5_1', 'Q8_0', 'Q8_1'].map((name) => [name, evenly(half)] as const),
  [
    'Q2_K',
    evenly(
      (bytes, at) => half(bytes, at + 80),
      16,
      (bytes, at, group) => bytes[at + group]! & 15,
    ),
  ],
  ['Q3_K', evenly((bytes, at) => half(bytes, at + 108), 16, scaleOfQ3)],
  ['Q4_K', evenly(half, 8, scaleOfQ4)],
  ['Q5_K', evenly(half, 8, scaleOfQ4)],
  [
    'Q6_K',
    evenly(
      (bytes, at) => half(bytes, at + 208),
      16,
      (bytes, at, group) => signed(bytes[at + 192 + group]!),
    ),
  ],
  ['Q8_K', evenly((bytes, at) => new DataView(bytes.buffer, bytes.byteOffset + at, 4).getFloat32(0, true))],
  ['IQ4_NL', onLevels(cells(IQ4_LEVELS), half, 2)],
  ['IQ4_XS', onLevels(cells(IQ4_LEVELS), half, 8, 8, scaleOfIq4)],
  [
    'MXFP4',
    onLevels(
      cells([0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12]),
      (bytes, at) => 2 ** (bytes[at]! - 128),
      1,
    ),
  ],
]);

type Step = (bytes: Uint8Array, at: number) => number;
type GroupScale = (bytes: Uint8Array, at: number, group: number) => number;

/** Even steps: the step of the block times the scale of each of its groups. */
function evenly(step: Step, groups = 1, scale: GroupScale = () => 1): BlockVariance {
  return (bytes, at) => {
    let squares = 0;
    for (let group = 0; group < groups; group++) squares += scale(bytes, at, group) ** 2;
    return (step(bytes, at) ** 2 * squares) / groups / 12;
  };
}

/**
 * Levels of 4 bits, `errors` being the variance in the cell of each; every group has 16 bytes of codes, from `codes`
 * on.
 */
function onLevels(
  errors: readonly number[],
  step: Step,
  codes: number,
  groups = 1,
  scale: GroupScale = () => 1,
): BlockVariance {
  return (bytes, at) => {
    let sum = 0;
    for (let group = 0; group < groups; group++) {
      let cellErrors = 0;
      for (let i = 0; i < 16; i++) {
        const pair = bytes[at + codes + 16 * group + i]!;
        cellErrors += errors[pair & 15]! + errors[pair >> 4]!;
      }
      sum += scale(bytes, at, group) ** 2 * (cellErrors / 32);
    }
    return (step(bytes, at) ** 2 * sum) / groups;
  };
}

/**
 * For each level the variance of an error that is uniform between the middles of the gaps a and b beside it: (a^3 +
 * b^3) / (12 (a + b)). The outermost cells are assumed to extend outwards as far as inwards.
 */
function cells(levels: readonly number[]): number[] {
  const sorted = [...new Set(levels)].sort((a, b) => a - b);
  return levels.map((level) => {
    const place = sorted.indexOf(level);
    const below = place > 0 ? level - sorted[place - 1]! : sorted[1]! - level;
    const above = place < sorted.length - 1 ? sorted[place + 1]! - level : below;
    return (below ** 3 + above ** 3) / (12 * (below + above));
  });
}

function scaleOfQ3(bytes: Uint8Array, at: number, group: number): number {
  const low = (bytes[at + 96 + (group & 7)]! >> (4 * (group >> 3))) & 15;
  const high = (bytes[at + 104 + (group & 3)]! >> (2 * (group >> 2))) & 3;
  return (low | (high << 4)) - 32;
}

function scaleOfQ4(bytes: Uint8Array, at: number, group: number): number {
  if (group < 4) return bytes[at + 4 + group]! & 63;
  return (bytes[at + 8 + group]! & 15) | ((bytes[at + group]! >> 6) << 4);
}

function scaleOfIq4(bytes: Uint8Array, at: number, group: number): number {
  const low = (bytes[at + 4 + (group >> 1)]! >> (4 * (group & 1))) & 15;
  return (low | (((u16(bytes, at + 2) >> (2 * group)) & 3) << 4)) - 32;
}
