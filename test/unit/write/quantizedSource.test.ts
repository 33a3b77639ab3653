import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { openCheckpoint } from '../../../src/checkpoint/open.ts';
import { writeFactorized } from '../../../src/write/factorized.ts';
import { readAll } from '../formats/readAll.ts';
import { f32, fileOf, type Stored } from '../formats/storedFile.ts';
import { prepare, scratchFolder } from './written.ts';

describe('writing a quantized checkpoint as factors', () => {
  const folder = scratchFolder();

  /** A matrix of rank 1 in powers of two, as 8-bit floats: 2^(i % 3) 2^(j % 4) in row i and column j. */
  const codes = (rows: number, cols: number): Stored => ({
    dtype: 'F8_E4M3',
    shape: [rows, cols],
    data: Uint8Array.from(
      { length: rows * cols },
      (_, at) => 0x38 + 8 * ((Math.floor(at / cols) % 3) + ((at % cols) % 4)),
    ),
  });

  it('factorizes the true values, and leaves scales and markers out', async () => {
    const path = join(folder, 'source.safetensors');
    const tensors = {
      scaled_fp8: { dtype: 'F8_E4M3', shape: [0], data: new Uint8Array(0) },
      'blocks.0.q.weight': codes(12, 8),
      'blocks.0.q.scale_weight': f32([], [0.125]),
      'blocks.0.q.scale_input': f32([], [1]),
      'blocks.0.k.weight': codes(6, 8),
      'blocks.0.k.weight_scale': f32([6, 1], [1, 2, 3, 4, 5, 6]),
      'blocks.0.k.bias': f32([6], [1, 2, 3, 4, 5, 6]),
      'blocks.0.v.weight': codes(6, 8),
    };
    writeFileSync(path, fileOf(tensors));
    const source = await prepare(path);
    const overrides = { 'blocks.0.q.weight': 1, 'blocks.0.k.weight': null, 'blocks.0.v.weight': null };
    const plan = await source.plan({ overrides });
    const out = join(folder, 'factors.safetensors');
    await writeFactorized({ ...source, plan, out, overwrite: false });
    await source.checkpoint.close();
    const written = await openCheckpoint(out);
    const values = await readAll(written);
    await written.close();
    assert.deepEqual(Object.keys(values).sort(), [
      'blocks.0.k.bias',
      'blocks.0.k.weight',
      'blocks.0.q.lowrank_a.weight',
      'blocks.0.q.lowrank_b.weight',
      'blocks.0.v.weight',
    ]);
    const value = (row: number, col: number) => 2 ** ((row % 3) + (col % 4));
    const [a, b] = [values['blocks.0.q.lowrank_a.weight']!, values['blocks.0.q.lowrank_b.weight']!];
    for (let row = 0; row < 12; row++)
      for (let col = 0; col < 8; col++) {
        const expected = 0.125 * value(row, col);
        // The factors are in BF16, of 8 significant bits each.
        assert.ok(Math.abs(b[row]! * a[col]! - expected) <= 2 ** -7 * expected);
      }
    const rows = Array.from({ length: 48 }, (_, at) => value(Math.floor(at / 8), at % 8));
    assert.deepEqual(
      values['blocks.0.k.weight'],
      rows.map((each, at) => (Math.floor(at / 8) + 1) * each),
    );
    assert.deepEqual(values['blocks.0.v.weight'], rows);
  });
});
