import { writeFileSync } from 'node:fs';
import { seededRandom } from '../../../src/base/random.ts';
import { safetensorsBytes } from '../formats/safetensorsBytes.ts';

/** A matrix for a test's checkpoint, row-major. */
export interface TestMatrix {
  readonly rows: number;
  readonly cols: number;
  readonly values: Float32Array;
}

/** Independent normal entries, the same for the same seed. */
export function noise(rows: number, cols: number, seed: number): TestMatrix {
  const random = seededRandom(seed);
  return { rows, cols, values: Float32Array.from({ length: rows * cols }, () => random.normal()) };
}

/** A matrix whose singular values are these, in any order. */
export function diagonal(...entries: number[]): TestMatrix {
  const size = entries.length;
  const values = new Float32Array(size * size);
  for (const [i, entry] of entries.entries()) values[i * size + i] = entry;
  return { rows: size, cols: size, values };
}

/** Writes a safetensors file of F32 matrices and gives its path. */
export function writeMatrices(path: string, matrices: Readonly<Record<string, TestMatrix>>): string {
  let at = 0;
  const header = Object.fromEntries(
    Object.entries(matrices).map(([name, { rows, cols, values }]) => {
      const begin = at;
      at += values.byteLength;
      return [name, { dtype: 'F32', shape: [rows, cols], data_offsets: [begin, at] }];
    }),
  );
  const data = Buffer.concat(Object.values(matrices).map(({ values }) => Buffer.from(values.buffer)));
  writeFileSync(path, safetensorsBytes(header, data));
  return path;
}
