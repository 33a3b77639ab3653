import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { openCheckpoint } from '../../../../src/checkpoint/open.ts';
import { anatomy } from '../../../../src/model/names/anatomy.ts';
import { stored } from '../../model/tensors.ts';
import { testFolder } from '../folder.ts';
import { readAll } from '../readAll.ts';
import { rejectsWith } from '../rejectsWith.ts';
import { zipBytes } from '../zipBytes.ts';

const FOLDER = fileURLToPath(new URL('../../../fixtures/keras/', import.meta.url));
const expectedOf = (name: string): Record<string, [shape: number[], values: number[]]> =>
  JSON.parse(readFileSync(`${FOLDER}${name}.json`, 'utf8'));

describe('Keras files', () => {
  const folder = testFolder();

  for (const name of ['model', 'bfloat16'])
    it(`reads the shape and values of every weight of ${name}.keras`, async () => {
      const expected = expectedOf(name);
      const checkpoint = await openCheckpoint(`${FOLDER}${name}.keras`);
      const weights = checkpoint.tensors.filter(({ dtype }) => /F/.test(dtype));
      assert.deepEqual(weights.map((weight) => weight.name).sort(), Object.keys(expected).sort());
      for (const tensor of weights) {
        const [shape, truth] = expected[tensor.name]!;
        assert.deepEqual(tensor.shape, shape);
        const out = new Float32Array(truth.length);
        await tensor.read(0, out);
        assert.deepEqual(out, Float32Array.from(truth));
      }
      await checkpoint.close();
    });

  it('leaves out the optimizer of a Keras file and says so', async () => {
    const checkpoint = await openCheckpoint(`${FOLDER}model.keras`);
    assert.ok(!checkpoint.tensors.some(({ name }) => name.startsWith('optimizer')));
    assert.match(checkpoint.warnings.join('\n'), /optimizer/);
    await checkpoint.close();
  });

  it('distinguishes bfloat16 from float32 layers', async () => {
    const checkpoint = await openCheckpoint(`${FOLDER}bfloat16.keras`);
    const types = Object.fromEntries(checkpoint.tensors.map(({ name, dtype }) => [name, dtype]));
    assert.deepEqual([types['layers/dense/vars/0'], types['layers/dense_1/vars/0']], ['BF16', 'F32']);
    await checkpoint.close();
  });

  for (const level of [0, 6] as const)
    it(`reads weights in the newest HDF5 layout, ${level ? 'deflated' : 'stored'} in the archive`, async () => {
      const weights = readFileSync(new URL('../hdf5/structures/denseGroup.h5', `file://${FOLDER}`));
      const archive = zipBytes({ 'config.json': Buffer.from('{}'), 'model.weights.h5': weights }, level);
      const own = await openCheckpoint(folder.write('newest.keras', archive));
      const plain = await openCheckpoint(folder.write('weights.h5', weights));
      assert.equal(own.format, 'keras');
      assert.equal(own.tensors.length, 61);
      assert.deepEqual(await readAll(own), await readAll(plain));
      await own.close();
      await plain.close();
    });

  it('suggests unpacking the archive when its compressed weights are too large for memory', async () => {
    const archive = zipBytes({ 'model.weights.h5': randomBytes(70_001) }, 6);
    const size = (value: number) => Buffer.from(new Uint32Array([value]).buffer);
    // Both the local header and the directory contain the size of the entry.
    for (let at = archive.indexOf(size(70_001)); at >= 0; at = archive.indexOf(size(70_001)))
      size(65 << 20).copy(archive, at);
    await rejectsWith(
      openCheckpoint(folder.write('packed.keras', archive)),
      'too-large',
      /Unpack the archive and open/,
    );
  });

  it('stores a dense kernel as (in, out), but not an embedding', async () => {
    const checkpoint = await openCheckpoint(`${FOLDER}model.keras`);
    const matrices = stored(anatomy(checkpoint.tensors).matrices);
    const transposed = (name: string) => matrices.find((each) => each.name === name)?.transposed;
    assert.deepEqual([transposed('layers/dense/vars/0'), transposed('layers/embedding/vars/0')], [true, false]);
    await checkpoint.close();
  });

  it('recognizes a Keras file under another name, and refuses one that is cut off', async () => {
    const bytes = readFileSync(`${FOLDER}model.keras`);
    const checkpoint = await openCheckpoint(folder.write('model.zip', bytes));
    assert.equal(checkpoint.format, 'keras');
    await checkpoint.close();
    await rejectsWith(openCheckpoint(folder.write('cut.keras', bytes.subarray(0, 5000))), 'malformed', /cut\.keras/);
  });
});
