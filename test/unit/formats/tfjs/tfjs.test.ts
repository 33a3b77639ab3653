import assert from 'node:assert/strict';
import { elementCount } from '../../../../src/base/shape.ts';
import type { Checkpoint } from '../../../../src/checkpoint/checkpoint.ts';
import { openCheckpoint } from '../../../../src/checkpoint/open.ts';
import { anatomy } from '../../../../src/model/names/anatomy.ts';
import { stored } from '../../model/tensors.ts';
import { checkpointPath } from '../checkpointFiles.ts';
import { testFolder } from '../folder.ts';
import { rejectsWith } from '../rejectsWith.ts';

async function values(checkpoint: Checkpoint, name: string): Promise<number[]> {
  const found = checkpoint.tensors.find((each) => each.name === name)!;
  const out = new Float32Array(elementCount(found.shape));
  await found.read(0, out);
  return [...out];
}

const f32s = (...numbers: number[]) => Buffer.from(Float32Array.from(numbers).buffer);

describe('TensorFlow.js models', () => {
  const folder = testFolder();
  const open = (weights: unknown, paths: unknown = ['a.bin', 'b.bin']) =>
    openCheckpoint(
      folder.write(
        'model.json',
        JSON.stringify({ format: 'layers-model', modelTopology: {}, weightsManifest: [{ paths, weights }] }),
      ),
    );

  it('reads quantized weights, strings and weights that span two files', async () => {
    const data = Buffer.concat([
      f32s(1, 2, 3),
      Buffer.from([2, 0, 0, 0]),
      Buffer.from('hi'),
      Buffer.from([0, 255]),
      Buffer.from([0, 0x3c]),
    ]);
    folder.write('a.bin', data.subarray(0, 6));
    folder.write('b.bin', data.subarray(6));
    const checkpoint = await open([
      { name: 'w', shape: [3], dtype: 'float32' },
      { name: 's', shape: [1], dtype: 'string' },
      { name: 'q', shape: [2], dtype: 'float32', quantization: { dtype: 'uint8', scale: 0.5, min: -1 } },
      { name: 'h', shape: [1], dtype: 'float32', quantization: { dtype: 'float16' } },
    ]);
    assert.deepEqual(await values(checkpoint, 'w'), [1, 2, 3]);
    assert.deepEqual(await values(checkpoint, 'q'), [-1, 126.5]);
    assert.deepEqual(await values(checkpoint, 'h'), [1]);
    assert.deepEqual(
      checkpoint.tensors.map(({ dtype, bytes }) => [dtype, bytes]),
      [
        ['F32', 12],
        ['STRING', 6],
        ['F32 (U8)', 2],
        ['F16', 2],
      ],
    );
    await checkpoint.close();
  });

  it('opens a folder by its model.json, whose kernels are stored as (in, out)', async () => {
    folder.write('a.bin', f32s(1, 2, 3, 4, 5, 6));
    folder.write('b.bin', f32s(1, 2, 3, 4, 5, 6));
    await (
      await open([
        { name: 'dense/kernel', shape: [2, 3], dtype: 'float32' },
        { name: 'tables.weight', shape: [2, 3], dtype: 'float32' },
      ])
    ).close();
    const checkpoint = await openCheckpoint(folder.path());
    assert.deepEqual(
      stored(anatomy(checkpoint.tensors).matrices).map(({ transposed, shape }) => [transposed, shape]),
      [
        [true, [3, 2]],
        [false, [2, 3]],
      ],
    );
    await checkpoint.close();
  });

  for (const path of ['../a.bin', '/etc/passwd', 'x\\..\\a.bin'])
    it(`refuses a weights file named ${path}`, () => rejectsWith(open([], [path]), 'malformed', /weights file/));

  const weight = { name: 'w', shape: [3], dtype: 'float32' };
  for (const [what, weights, pattern] of [
    ['more weights than its files hold', [{ ...weight, shape: [30] }], /byte 120 of 8/],
    ['a shape of 2^80', [{ ...weight, shape: [2 ** 40, 2 ** 40] }], /should end at byte/],
    ['a negative size', [{ ...weight, shape: [-1] }], /invalid shape \[-1\]/],
    ['a fractional size', [{ ...weight, shape: [1.5] }], /shape \[1.5\]/],
    ['an unknown type', [{ ...weight, dtype: 'float1' }], /unknown type "float1"/],
    [
      'a duplicate name',
      [
        { ...weight, shape: [1] },
        { ...weight, shape: [1] },
      ],
      /listed twice/,
    ],
    ['strings past the end', [{ ...weight, shape: [2], dtype: 'string' }], /should end at byte/],
    ['weights that are not a list', 'all', /no list of "weights"/],
  ] as const)
    it(`refuses ${what}`, async () => {
      folder.write('a.bin', f32s(1));
      folder.write('b.bin', f32s(2));
      await rejectsWith(open(weights), 'malformed', pattern);
    });

  it('names a missing weights file', () => rejectsWith(open([weight]), 'not-found', /a\.bin/));

  it('reads the same matrices from a model in TensorFlow.js and in ONNX', async function () {
    const [tf, onnx] = [checkpointPath(this, 'magika-tfjs'), checkpointPath(this, 'magika/standard_v3_3.onnx')];
    const [a, b] = [await openCheckpoint(tf), await openCheckpoint(onnx)];
    const largest = async (checkpoint: Checkpoint) => {
      const sorted = [...checkpoint.tensors].filter(({ dtype }) => dtype === 'F32').sort((x, y) => y.bytes - x.bytes);
      return await Promise.all(
        sorted.slice(0, 3).map(async ({ name }) => (await values(checkpoint, name)).sort((x, y) => x - y)),
      );
    };
    assert.deepEqual(await largest(a), await largest(b));
    await a.close();
    await b.close();
  }).timeout(60_000);
});
