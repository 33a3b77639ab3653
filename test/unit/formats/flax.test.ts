import assert from 'node:assert/strict';
import { openCheckpoint } from '../../../src/formats/open.ts';
import { flaxBytes, SAMPLE } from './flaxBytes.ts';
import { testFolder } from './folder.ts';
import { readAll, withCheckpoint } from './readAll.ts';
import { rejectsWith } from './rejectsWith.ts';

describe('a Flax msgpack file', () => {
  const folder = testFolder();

  it('gives its arrays by their path', async () => {
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

  it('is refused when it is cut off anywhere', async () => {
    const bytes = flaxBytes(SAMPLE);
    for (let length = 8; length < bytes.length; length += 3)
      await rejectsWith(openCheckpoint(folder.write('a.msgpack', bytes.subarray(0, length))), 'malformed', /cut off/);
  });

  it('is refused when it nests without end', () =>
    rejectsWith(openCheckpoint(folder.write('a.msgpack', Buffer.alloc(100_000, 0x91))), 'malformed', /nests deeper/));

  it('is refused when an array has other bytes than its shape needs', async () => {
    const bytes = flaxBytes({ w: { shape: [7], type: 'float32', data: new Float32Array(6) } });
    await rejectsWith(openCheckpoint(folder.write('a.msgpack', bytes)), 'malformed', /"w".*\[7\].*24 bytes/);
  });
});
