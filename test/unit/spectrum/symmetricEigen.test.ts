import assert from 'node:assert/strict';
import { seededRandom } from '../../../src/base/random.ts';
import { createReferenceBackend } from '../../../src/devices/reference/backend.ts';
import { symmetricEigen } from '../../../src/spectrum/symmetricEigen.ts';
import { matrixWith, SPECTRA, type SpectrumName } from '../../numeric/cases.ts';
import { gramOf } from '../../numeric/checks.ts';
import { withMatrix } from '../../numeric/device.ts';

describe('symmetric eigenvalues', () => {
  for (const spectrum of Object.keys(SPECTRA) as SpectrumName[]) {
    for (const size of [1, 2, 3, 31]) {
      it(`of a ${size} x ${size} Gram matrix (${spectrum}) are squared singular values; components match`, async () => {
        const data = matrixWith(
          Float64Array.from({ length: size }, (_, i) => SPECTRA[spectrum](i, size)),
          size,
          size,
          8,
        );
        const gram = gramOf(data, size, size);
        const reference = createReferenceBackend();
        const singular = await withMatrix(reference, data, size, size, (on) => reference.singularValues(on));
        const all = Array.from({ length: size }, (_, i) => i);
        const { values, rows } = symmetricEigen(gram.slice(), size, all);
        const largest = singular[0]! ** 2;
        const bound = 1e-13 * size * largest;
        for (const [i, value] of values.toSorted().reverse().entries()) {
          assert.ok(Math.abs(value - singular[i]! ** 2) <= bound, `value ${i}`);
        }
        for (let k = 0; k < size; k++) {
          for (let i = 0; i < size; i++) {
            let product = 0;
            let overlap = 0;
            for (let j = 0; j < size; j++) {
              product += gram[i * size + j]! * rows[j]![k]!;
              overlap += rows[j]![i]! * rows[j]![k]!;
            }
            assert.ok(Math.abs(product - values[k]! * rows[i]![k]!) <= bound, `vector ${k}`);
            assert.ok(Math.abs(overlap - (i === k ? 1 : 0)) <= 1e-13 * size, `vectors ${i} and ${k}`);
          }
        }
        const [last] = symmetricEigen(gram.slice(), size, [size - 1]).rows;
        assert.deepEqual(last, rows[size - 1]);
      });
    }
  }

  it('of a rank-one matrix with f64 rounding are 1 and zeros', () => {
    const size = 60;
    for (const seed of [1, 2, 3]) {
      const { normal } = seededRandom(seed);
      const direction = Float64Array.from({ length: size }, normal);
      const norm = Math.hypot(...direction);
      const matrix = new Float64Array(size * size);
      for (let i = 0; i < size; i++)
        for (let j = 0; j <= i; j++) {
          const entry = (direction[i]! * direction[j]!) / norm ** 2 + 1e-16 * normal();
          [matrix[i * size + j], matrix[j * size + i]] = [entry, entry];
        }
      const [largest, ...rest] = symmetricEigen(matrix, size, [0]).values.toSorted().reverse();
      assert.ok(Math.abs(largest! - 1) <= 1e-13 * size);
      for (const value of rest) assert.ok(Math.abs(value) <= 1e-13 * size);
    }
  });
});
