import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { openCheckpoint } from '../../../../src/formats/open.ts';
import { testFolder } from '../folder.ts';
import { rejectsWith } from '../rejectsWith.ts';

const FOLDER = fileURLToPath(new URL('../../../fixtures/keras/', import.meta.url));
const EXPECTED: Record<string, [number[], number[]]> = JSON.parse(readFileSync(`${FOLDER}expected.json`, 'utf8'));

describe('keras', () => {
  const folder = testFolder();

  it('gives the shape and values of every weight, and leaves the optimizer out', async () => {
    const checkpoint = await openCheckpoint(`${FOLDER}model.keras`);
    const weights = checkpoint.tensors.filter(({ dtype }) => dtype === 'F32');
    assert.deepEqual(weights.map(({ name }) => name).sort(), Object.keys(EXPECTED).sort());
    for (const tensor of weights) {
      const [shape, truth] = EXPECTED[tensor.name]!;
      assert.deepEqual(tensor.shape, shape);
      const out = new Float32Array(truth.length);
      await checkpoint.read(tensor, 0, out);
      assert.deepEqual(out, Float32Array.from(truth));
    }
    assert.match(checkpoint.warnings.join('\n'), /optimizer/);
    await checkpoint.close();
  });

  it('knows that a dense kernel is stored as (in, out), and an embedding is not', async () => {
    const checkpoint = await openCheckpoint(`${FOLDER}model.keras`);
    const transposed = (name: string) => checkpoint.tensors.find((each) => each.name === name)?.transposed ?? false;
    assert.deepEqual([transposed('layers/dense/vars/0'), transposed('layers/embedding/vars/0')], [true, false]);
    await checkpoint.close();
  });

  it('is opened for what it is under another name, and refused cut off', async () => {
    const bytes = readFileSync(`${FOLDER}model.keras`);
    const checkpoint = await openCheckpoint(folder.write('model.zip', bytes));
    assert.equal(checkpoint.format, 'keras');
    await checkpoint.close();
    await rejectsWith(openCheckpoint(folder.write('cut.keras', bytes.subarray(0, 5000))), 'malformed', /cut\.keras/);
  });
});
