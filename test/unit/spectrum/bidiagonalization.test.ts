import assert from 'node:assert/strict';
import { createReferenceBackend } from '../../../src/devices/reference/backend.ts';
import { Bidiagonalization } from '../../../src/spectrum/bidiagonalization.ts';
import { matrixWith, SPECTRA, type SpectrumName } from '../../numeric/cases.ts';
import { checkOrthonormal, transpose } from '../../numeric/checks.ts';
import { onDevice } from '../../numeric/device.ts';

/** Row-major a^T b for a with `cols` and b with `others` columns. */
function gram(a: ArrayLike<number>, cols: number, b: ArrayLike<number>, others: number): Float64Array {
  const out = new Float64Array(cols * others);
  for (let k = 0; k < a.length / cols; k++) {
    for (let i = 0; i < cols; i++) {
      for (let j = 0; j < others; j++) out[i * others + j]! += a[k * cols + i]! * b[k * others + j]!;
    }
  }
  return out;
}

const identity = (size: number, from: number, rows: number) => {
  const out = new Float32Array(rows * size);
  for (let i = 0; i < size; i++) out[(from + i) * size + i] = 1;
  return out;
};

describe('block bidiagonalisation', () => {
  for (const spectrum of Object.keys(SPECTRA) as SpectrumName[]) {
    for (const [rows, cols] of [
      [90, 70],
      [64, 100],
    ] as const) {
      it(`of ${spectrum} ${rows} x ${cols} has orthonormal bases and projects the matrix on them`, async () => {
        const p = Math.min(rows, cols);
        const data = matrixWith(
          Float64Array.from({ length: p }, (_, i) => SPECTRA[spectrum](i, p)),
          rows,
          cols,
          5,
        );
        const backend = createReferenceBackend();
        const width = 8;
        const krylov = await Bidiagonalization.start(backend, await onDevice(backend, data, rows, cols), width, 1);
        while (krylov.hasRoom) await krylov.step(undefined, 'matrix');
        assert.equal(krylov.size, p - (p % width) - width);

        const size = krylov.size;
        const { left, right } = await krylov.vectors(
          identity(size, 0, size),
          identity(size, width, size + width),
          size,
        );
        checkOrthonormal(left, rows, size);
        checkOrthonormal(right, cols, size);
        // The projected matrix is that of W or W^T, whichever is not wide, without the first block of V.
        const [long, short] = rows >= cols ? [left, right] : [right, left];
        const tall = rows >= cols ? data : transpose(data, rows, cols);
        const inner = gram(gram(tall, p, long, size), size, short, size);
        const projected = krylov.projected();
        const norm = Math.hypot(...projected);
        for (let i = 0; i < size; i++) {
          for (let j = 0; j < size; j++) {
            const found = projected[i * (size + width) + width + j]!;
            assert.ok(Math.abs(found - inner[i * size + j]!) <= 1e-5 * norm, `${i}, ${j}: ${found}`);
          }
        }
      });
    }
  }
});
