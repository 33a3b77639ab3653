import type { Matrix } from '../../devices/backend.ts';
import type { Rope } from '../configuration/decoder.ts';
import { type RopeFrequencies, ropeFrequencies } from './ropeFrequencies.ts';
import type { Run } from './run.ts';

/** Cosine and sine of each position and frequency. */
export interface Rotations {
  /** Frequencies, each of which turns a pair of entries. */
  readonly half: number;
  readonly cosines: Float32Array;
  readonly sines: Float32Array;
}

/** The rotations of the first `length` positions, with angles in f32 as frameworks compute them. */
export function rotations({ frequencies, magnitude }: RopeFrequencies, length: number): Rotations {
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
  return { half, cosines, sines };
}

/** The rotations by the length of a window, each computed once; null without rotary positions. */
export function rotationTable(rope: Rope | null): (length: number) => Rotations | null {
  const known = new Map<number, Rotations>();
  return (length) => {
    if (!rope) return null;
    const found = known.get(length) ?? rotations(ropeFrequencies(rope, length), length);
    known.set(length, found);
    return found;
  };
}

/**
 * Rotates the first entries of each head in the rows [first, first + length), in place.
 * @param from Position of the first of these rows.
 */
export async function rotate(
  { backend, tape }: Run,
  x: Matrix,
  first: number,
  length: number,
  headSize: number,
  { half, cosines, sines }: Rotations,
  from = 0,
): Promise<void> {
  const ofRows = (table: Float32Array) => table.subarray(from * half, (from + length) * half);
  const rotation = { row: first, rows: length, headSize, half, cosines: ofRows(cosines), sines: ofRows(sines) };
  await backend.network.rotate(x, rotation);
  tape?.record([], async (back) => {
    const gradient = back.gradientOf(x);
    // The transpose of a turn is the opposite one; factors of cosines and sines stay.
    const opposite = { ...rotation, sines: rotation.sines.map((sine) => -sine) };
    if (gradient) await backend.network.rotate(gradient, opposite);
  });
}
