import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { elementCount } from '../../../../src/base/shape.ts';
import type { Checkpoint } from '../../../../src/checkpoint/checkpoint.ts';
import { openCheckpoint } from '../../../../src/checkpoint/open.ts';
import { checkpointPath } from '../checkpointFiles.ts';
import { testFolder } from '../folder.ts';
import { python } from '../python.ts';
import { rejectsWith } from '../rejectsWith.ts';

const FOLDER = fileURLToPath(new URL('../../../fixtures/hdf5/', import.meta.url));
const EXPECTED: Record<string, Record<string, [number[], number[]]>> = JSON.parse(
  readFileSync(`${FOLDER}expected.json`, 'utf8'),
);

async function values(checkpoint: Checkpoint, name: string, start = 0, length?: number): Promise<number[]> {
  const found = checkpoint.tensors.find((each) => each.name === name)!;
  const out = new Float32Array(length ?? elementCount(found.shape));
  await found.read(start, out);
  return [...out];
}

const READ_KERNELS = `
import sys, json, h5py, numpy as np
result = {}
with h5py.File(sys.argv[1]) as file:
    def take(path, item):
        if isinstance(item, h5py.Dataset) and item.dtype.kind == 'f' and not path.startswith('optimizer'):
            result[path] = [list(item.shape), float(np.abs(item[()].astype(np.float64)).sum())]
    file.visititems(take)
print(json.dumps(result))`;

describe('an HDF5 file', () => {
  const folder = testFolder();

  for (const [file, datasets] of Object.entries(EXPECTED)) {
    it(`has the shapes and values that h5py reads, as a whole and in part: ${file}`, async () => {
      const checkpoint = await openCheckpoint(FOLDER + file);
      for (const [name, [shape, truth]] of Object.entries(datasets)) {
        const tensor = checkpoint.tensors.find((each) => each.name === name);
        assert.deepEqual(tensor?.shape, shape, name);
        const expected = [...Float32Array.from(truth)];
        assert.deepEqual(await values(checkpoint, name), expected, name);
        if (truth.length > 4)
          assert.deepEqual(await values(checkpoint, name, 3, truth.length - 4), expected.slice(3, -1), name);
      }
      await checkpoint.close();
    });
  }

  it('reports what it omits, and may link groups in a circle', async () => {
    const checkpoint = await openCheckpoint(`${FOLDER}layouts.h5`);
    const names = checkpoint.tensors.map(({ name }) => name);
    assert.ok(names.includes('circle/inside/value'));
    assert.ok(!names.some((name) => name.startsWith('optimizer_weights') || name.includes('back')));
    assert.match(checkpoint.warnings.join('\n'), /1 datasets of the optimizer/);
    assert.match(checkpoint.warnings.join('\n'), /2 links to other names or files are not followed/);
    await checkpoint.close();
  });

  it('is refused if it is cut off anywhere', async () => {
    const whole = readFileSync(`${FOLDER}newest.h5`);
    for (let length = 8; length < whole.length; length += 7) {
      const path = folder.write('cut.h5', whole.subarray(0, length));
      await rejectsWith(openCheckpoint(path), 'malformed', /cut\.h5/);
    }
  });

  it('is refused if a B-tree points back into itself', async () => {
    const bytes = readFileSync(`${FOLDER}layouts.h5`);
    // The leaf of the first tree becomes an inner node whose children are itself.
    const at = bytes.indexOf('TREE');
    bytes[at + 5] = 1;
    for (let i = at + 32; i < at + 32 + 16 * bytes.readUInt16LE(at + 6); i += 16) bytes.writeBigUInt64LE(BigInt(at), i);
    await rejectsWith(openCheckpoint(folder.write('circle.h5', bytes)), 'malformed', /back into itself/);
  });

  it('has the values that h5py reads, for every real Keras file', async function () {
    for (const file of ['magika/standard_v1.h5']) {
      const path = checkpointPath(this, file);
      const truth = python(this, ['h5py', 'numpy'], READ_KERNELS, path) as Record<string, [number[], number]>;
      const checkpoint = await openCheckpoint(path);
      assert.deepEqual(
        checkpoint.tensors
          .filter(({ dtype }) => dtype.startsWith('F'))
          .map(({ name }) => name)
          .sort(),
        Object.keys(truth).sort(),
      );
      for (const [name, [shape, sum]] of Object.entries(truth)) {
        assert.deepEqual(checkpoint.tensors.find((each) => each.name === name)?.shape, shape);
        const own = (await values(checkpoint, name)).reduce((total, x) => total + Math.abs(x), 0);
        assert.ok(Math.abs(own - sum) <= 1e-9 * sum, name);
      }
      await checkpoint.close();
    }
  }).timeout(60_000);

  it('has the kernels of CuDNN layers in the order of a matrix', async function () {
    const path = checkpointPath(this, 'textgenrnn/textgenrnn_weights.hdf5');
    const script = `
import sys, json, h5py, numpy as np
def transform(kernels, f, n): return np.hstack([f(k) for k in np.hsplit(kernels, n)])
with h5py.File(sys.argv[1]) as file:
    kernel = file['rnn_1/rnn_1/kernel:0'][()]
    recurrent = file['rnn_1/rnn_1/recurrent_kernel:0'][()]
print(json.dumps([transform(kernel, lambda k: k.T.reshape(k.shape, order='F'), 4).tolist(), transform(recurrent, lambda k: k.T, 4).tolist()]))`;
    const [kernel, recurrent] = python(this, ['h5py', 'numpy'], script, path) as number[][][];
    const checkpoint = await openCheckpoint(path);
    assert.deepEqual(await values(checkpoint, 'rnn_1/rnn_1/kernel:0'), [...Float32Array.from(kernel!.flat())]);
    assert.deepEqual(await values(checkpoint, 'rnn_1/rnn_1/recurrent_kernel:0'), [
      ...Float32Array.from(recurrent!.flat()),
    ]);
    assert.match(checkpoint.warnings.join('\n'), /4 kernels of CuDNN/);
    await checkpoint.close();
  }).timeout(60_000);

  it('has the same matrices as the ONNX form of the same model', async function () {
    const [keras, onnx] = [
      checkpointPath(this, 'magika/standard_v1.h5'),
      checkpointPath(this, 'magika/standard_v1.onnx'),
    ];
    const [a, b] = [await openCheckpoint(keras), await openCheckpoint(onnx)];
    const dense = await values(a, 'model_weights/target_label/target_label/kernel:0');
    assert.deepEqual(dense, await values(b, 'model/target_label/MatMul/ReadVariableOp:0'));
    await a.close();
    await b.close();
  });
});
