import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Case } from './cases.ts';

/** Where the values of a case are in `spectra.f64`, and two sums that identify its matrix. */
export interface TableEntry {
  readonly name: string;
  readonly first: number;
  readonly count: number;
  readonly fingerprint: readonly [number, number];
}

export const TABLE = new URL('../fixtures/spectra/', import.meta.url);

/** The stored f64 LAPACK singular values of a case, after checking that they belong to this matrix. */
export function tableTruth({ name }: Case, matrix: Float32Array): Float64Array {
  const entries = JSON.parse(readFileSync(new URL('spectra.json', TABLE), 'utf8')) as TableEntry[];
  const entry = entries.find((candidate) => candidate.name === name);
  assert.ok(entry, `no truth is kept for ${name}: run test/fixtures/spectra/generate.ts`);
  for (const [i, sum] of fingerprint(matrix).entries()) {
    const off = Math.abs(sum - entry.fingerprint[i]!);
    assert.ok(off <= 1e-9 * matrix.length, `the truth kept for ${name} is that of another matrix`);
  }
  return readValues(readFileSync(new URL('spectra.f64', TABLE))).slice(entry.first, entry.first + entry.count);
}

/** Sums that any wrong entry changes. Not a hash, because the last digit of sin and cos differs between machines. */
export function fingerprint(matrix: Float32Array): [number, number] {
  let plain = 0;
  let weighted = 0;
  for (const [i, entry] of matrix.entries()) {
    plain += Math.abs(entry);
    weighted += entry * ((i % 17) - 8);
  }
  return [plain, weighted];
}

/** Singular values by numpy in f64, one array per matrix. */
export function lapackTruth(
  python: string,
  matrices: readonly { rows: number; cols: number; data: Float32Array }[],
): Float64Array[] {
  const folder = mkdtempSync(join(tmpdir(), 'rankscope-lapack-'));
  try {
    const lines = matrices.map(({ rows, cols, data }, i) => {
      const file = join(folder, `${i}.f32`);
      writeFileSync(file, new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
      return `${rows} ${cols} ${file}\n`;
    });
    const script = join(import.meta.dirname, 'lapack.py');
    const bytes = execFileSync(python, [script], {
      input: lines.join(''),
      maxBuffer: 2 ** 30,
    });
    const values = readValues(bytes);
    let first = 0;
    return matrices.map(({ rows, cols }) => {
      const count = Math.min(rows, cols);
      first += count;
      return values.slice(first - count, first);
    });
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function readValues(bytes: Uint8Array): Float64Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Float64Array.from({ length: bytes.byteLength / 8 }, (_, i) => view.getFloat64(8 * i, true));
}
