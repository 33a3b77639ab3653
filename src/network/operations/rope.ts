import type { Rope } from '../configuration/decoder.ts';
import { type RopeFrequencies, ropeFrequencies } from './ropeFrequencies.ts';
import type { Rows } from './rows.ts';

/** Cosine and sine of each position and frequency. */
export interface Rotations {
  readonly rope: Rope;
  readonly cosines: Float32Array;
  readonly sines: Float32Array;
}

/** The rotations of the first `length` positions, with angles in f32 as frameworks compute them. */
export function rotations(rope: Rope, { frequencies, magnitude }: RopeFrequencies, length: number): Rotations {
  const half = frequencies.length;
  const cosines = new Float32Array(length * half);
  const sines = new Float32Array(length * half);
  for (let position = 0; position < length; position++) {
    for (let i = 0; i < half; i++) {
      const angle = Math.fround(position * frequencies[i]!);
      cosines[position * half + i] = magnitude * Math.cos(angle);
      sines[position * half + i] = magnitude * Math.sin(angle);
    }
  }
  return { rope, cosines, sines };
}

/** The rotations by the length of a window, each computed once; null without rotary positions. */
export function rotationTable(rope: Rope | null): (length: number) => Rotations | null {
  const known = new Map<number, Rotations>();
  return (length) => {
    if (!rope) return null;
    const found = known.get(length) ?? rotations(rope, ropeFrequencies(rope, length), length);
    known.set(length, found);
    return found;
  };
}

/**
 * Rotates the first entries of each head in the rows [first, first + length), in place.
 * @param from Position of the first of these rows.
 */
export function rotate(x: Rows, first: number, length: number, headSize: number, rotated: Rotations, from = 0): void {
  const { rope, cosines, sines } = rotated;
  const half = rope.size / 2;
  const { cols, values } = x;
  for (let row = 0; row < length; row++) {
    const position = from + row;
    for (let head = 0; head < cols; head += headSize) {
      let at = (first + row) * cols + head;
      for (let i = 0; i < half; i++, at++) {
        const cos = cosines[position * half + i]!;
        const sin = sines[position * half + i]!;
        const [a, b] = [values[at]!, values[at + half]!];
        values[at] = a * cos - b * sin;
        values[at + half] = b * cos + a * sin;
      }
    }
  }
}
