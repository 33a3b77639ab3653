import assert from 'node:assert/strict';
import { openCheckpoint } from '../../../src/checkpoint/open.ts';
import { chunked, type FlaxTree, flaxBytes, SAMPLE } from './flaxBytes.ts';
import { testFolder } from './folder.ts';
import { readAll, withCheckpoint } from './readAll.ts';
import { rejectsWith } from './rejectsWith.ts';

describe('Flax msgpack files', () => {
  const folder = testFolder();

  it('names arrays by their path', async () => {
    await withCheckpoint(folder.write('flax_model.msgpack', flaxBytes(SAMPLE)), async (checkpoint) => {
      assert.equal(checkpoint.format, 'flax');
      assert.deepEqual(await readAll(checkpoint), {
        'params.dense.kernel': [1, 2, 3, 4, 5, 6],
        'params.dense.bias': [0.5],
        'params.scale': [1, -2],
      });
      assert.deepEqual(checkpoint.tensors[0]?.shape, [2, 3]);
    });
    assert.equal(await withCheckpoint(folder.path(), ({ tensors }) => tensors.length), 3);
  });

  it('recognizes a Flax file by its content, whatever its name', async () => {
    for (const tree of [SAMPLE, { w: { shape: [2], type: 'float32', data: new Float32Array(2) } }])
      await withCheckpoint(folder.write('weights.onnx', flaxBytes(tree)), ({ format, warnings }) => {
        assert.equal(format, 'flax');
        assert.match(warnings.join(), /ends in \.onnx, but its content is flax/);
      });
  });

  it('joins the chunks of a chunked array', async () => {
    const w = chunked([3, 2], 'float32', new Float32Array([1, 2, 3, 4]), new Float32Array([5, 6]));
    const path = folder.write('a.msgpack', flaxBytes({ params: { w, step: 3, after: SAMPLE } }));
    await withCheckpoint(path, async (checkpoint) => {
      assert.deepEqual(checkpoint.tensors[0]?.shape, [3, 2]);
      const values = await readAll(checkpoint);
      assert.deepEqual(Object.keys(values).slice(0, 2), ['params.w', 'params.after.params.dense.kernel']);
      assert.deepEqual(values['params.w'], [1, 2, 3, 4, 5, 6]);
      const out = new Float32Array(3);
      await checkpoint.tensors[0]!.read(2, out);
      assert.deepEqual([...out], [3, 4, 5]);
    });
  });

  it('refuses chunked arrays with mixed types, missing chunks or misnumbered chunks', async () => {
    const two = chunked([6], 'float32', new Float32Array(4), new Float32Array(2));
    const other = { shape: [2], type: 'int32', data: new Int32Array(2) };
    const { chunks } = two as { chunks: FlaxTree };
    for (const [bad, says] of [
      [{ ...two, chunks: { ...chunks, 1: other } }, /differ in type/],
      [{ ...two, chunks: { 0: chunks[0]! } }, /"w".*\[6\].*16 bytes/],
      [{ ...two, chunks: { 0: chunks[0]!, 2: chunks[1]! } }, /out of order/],
    ] as const)
      await rejectsWith(openCheckpoint(folder.write('a.msgpack', flaxBytes({ w: bad }))), 'malformed', says);
  });

  it('refuses a Flax file cut off at any point', async () => {
    const bytes = flaxBytes(SAMPLE);
    for (let length = 8; length < bytes.length; length += 3)
      await rejectsWith(openCheckpoint(folder.write('a.msgpack', bytes.subarray(0, length))), 'malformed', /cut off/);
  });

  it('refuses a Flax file that is nested too deeply', () =>
    rejectsWith(
      openCheckpoint(folder.write('a.msgpack', Buffer.alloc(100_000, 0x91))),
      'malformed',
      /nested more than/,
    ));

  it('refuses an array whose number of bytes does not match its shape', async () => {
    const bytes = flaxBytes({ w: { shape: [7], type: 'float32', data: new Float32Array(6) } });
    await rejectsWith(openCheckpoint(folder.write('a.msgpack', bytes)), 'malformed', /"w".*\[7\].*24 bytes/);
  });
});
