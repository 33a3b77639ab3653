import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { elementCount } from '../../../../src/base/shape.ts';
import type { Checkpoint } from '../../../../src/checkpoint/checkpoint.ts';
import { openCheckpoint } from '../../../../src/checkpoint/open.ts';
import { checkpointPath } from '../checkpointFiles.ts';
import { testFolder } from '../folder.ts';
import { python } from '../python.ts';
import { rejectsWith } from '../rejectsWith.ts';
import { f32s, type GgufParts, ggufBytes, text, u32, u64 } from './ggufBytes.ts';

async function values(checkpoint: Checkpoint, name: string): Promise<Float32Array> {
  const tensor = checkpoint.tensors.find((each) => each.name === name)!;
  const out = new Float32Array(elementCount(tensor.shape));
  await tensor.read(0, out);
  return out;
}

const WEIGHT = { name: 'w', dimensions: [3, 2], type: 0, data: f32s(1, 2, 3, 4, 5, 6) };

describe('a GGUF file', () => {
  const folder = testFolder();
  const open = (parts: GgufParts) => openCheckpoint(folder.write('model.gguf', ggufBytes(parts)));

  it('has its dimensions rows first, its values and its metadata', async () => {
    const checkpoint = await open({ metadata: [['general.name', 8, text('tiny')]], tensors: [WEIGHT] });
    const { shape, dtype, bytes } = checkpoint.tensors[0]!;
    assert.deepEqual({ shape, dtype, bytes }, { shape: [2, 3], dtype: 'F32', bytes: 24 });
    assert.deepEqual([...(await values(checkpoint, 'w'))], [1, 2, 3, 4, 5, 6]);
    assert.equal(checkpoint.metadata.get('general.name'), 'tiny');
    await checkpoint.close();
  });

  it('may have a header longer than the first piece that is read', async () => {
    const tokens = Buffer.concat(Array.from({ length: 200_000 }, (_, i) => text(`token ${i}`)));
    const checkpoint = await open({
      metadata: [['tokens', 9, Buffer.concat([u32(8), u64(200_000), tokens])]],
      tensors: [WEIGHT],
    });
    assert.equal(checkpoint.metadata.get('tokens'), '(200000 values)');
    assert.deepEqual([...(await values(checkpoint, 'w'))], [1, 2, 3, 4, 5, 6]);
    await checkpoint.close();
  });

  it('is readable from inside a block', async () => {
    const data = Uint8Array.from({ length: 68 }, (_, i) => (i % 34 === 0 ? 0 : i % 34 === 1 ? 0x3c : i % 34)); // d = 1
    const checkpoint = await open({ tensors: [{ name: 'q', dimensions: [64], type: 8, data }] });
    const out = new Float32Array(4);
    await checkpoint.tensors[0]!.read(30, out);
    assert.deepEqual([...out], [32, 33, 2, 3]);
    await checkpoint.close();
  });

  it('opens with all parts of a split checkpoint, by the first part and by the folder', async () => {
    const part = (no: number, name: string) =>
      ggufBytes({
        metadata: [
          ['split.count', 2, Buffer.from([2, 0])],
          ['split.no', 2, Buffer.from([no, 0])],
        ],
        tensors: [{ ...WEIGHT, name }],
      });
    const first = folder.write('m-00001-of-00002.gguf', part(0, 'a'));
    await rejectsWith(openCheckpoint(first), 'not-found', /m-00002-of-00002/);
    const second = folder.write('m-00002-of-00002.gguf', part(1, 'b'));
    for (const path of [first, folder.path()]) {
      const checkpoint = await openCheckpoint(path);
      assert.deepEqual(
        checkpoint.tensors.map(({ name, file }) => [name, checkpoint.files.indexOf(file)]),
        [
          ['a', 0],
          ['b', 1],
        ],
      );
      assert.deepEqual([...(await values(checkpoint, 'b'))], [1, 2, 3, 4, 5, 6]);
      await checkpoint.close();
    }
    await rejectsWith(openCheckpoint(second), 'unsupported', /part 2 of a checkpoint of 2 files/);
  });

  const refused: [string, GgufParts, RegExp][] = [
    ['a tensor past the end', { tensors: [{ ...WEIGHT, dimensions: [3, 2000] }] }, /needs 24000 bytes/],
    ['more elements than 2^53', { tensors: [{ ...WEIGHT, dimensions: [2 ** 40, 2 ** 40] }] }, /claims the shape/],
    ['five dimensions', { tensors: [{ ...WEIGHT, dimensions: [1, 1, 1, 1, 1] }] }, /5 dimensions/],
    ['a row that does not fill its blocks', { tensors: [{ ...WEIGHT, type: 8 }] }, /blocks of 32/],
    ['a gap before a tensor', { tensors: [{ ...WEIGHT, offset: 32 }] }, /byte 0 is expected/],
    ['overlapping tensors', { tensors: [WEIGHT, { ...WEIGHT, name: 'v', offset: 0 }] }, /byte 32 is expected/],
    ['a name twice', { tensors: [WEIGHT, WEIGHT] }, /listed twice/],
    ['an alignment of zero', { metadata: [['general.alignment', 4, u32(0)]], tensors: [WEIGHT] }, /alignment is 0/],
    [
      'an array of 2^60 numbers',
      { metadata: [['a', 9, Buffer.concat([u32(4), u64(2n ** 60n)])]], tensors: [] },
      /array elements/,
    ],
    ['an unknown metadata type', { metadata: [['a', 77, u32(0)]], tensors: [] }, /unknown type 77/],
  ];
  for (const [what, parts, message] of refused) {
    it(`is refused with ${what}`, () => rejectsWith(open(parts), 'malformed', /model\.gguf/, message));
  }

  it('is refused with endlessly nested arrays', async () => {
    const nested = Buffer.concat(Array.from({ length: 5000 }, () => Buffer.concat([u32(9), u64(1)])));
    await rejectsWith(open({ metadata: [['a', 9, nested]], tensors: [] }), 'malformed', /nested/);
  });

  it('is refused with the name of an unknown ggml type, or of a big-endian byte order', async () => {
    await rejectsWith(open({ tensors: [{ ...WEIGHT, type: 999 }] }), 'unsupported', /ggml type 999/);
    await rejectsWith(open({ version: 0x03000000, tensors: [WEIGHT] }), 'unsupported', /big-endian/);
  });

  it('is refused if it is cut off anywhere', async () => {
    const whole = ggufBytes({ metadata: [['general.name', 8, text('tiny')]], tensors: [WEIGHT] });
    for (let length = 8; length < whole.length - 8; length++)
      await rejectsWith(openCheckpoint(folder.write('model.gguf', whole.subarray(0, length))), 'malformed');
  });

  it('has the names, types, shapes and values that the reference reader finds, for every real file', async function () {
    const files = ['kquants-gguf', 'stories260K-gguf'].flatMap((name) => {
      const path = checkpointPath(this, name);
      return readdirSync(path)
        .filter((file) => file.endsWith('.gguf'))
        .map((file) => `${path}/${file}`);
    });
    for (const file of files) {
      const script = `
import sys, json, gguf, numpy as np
from gguf.quants import dequantize
print(json.dumps([[t.name, t.tensor_type.name, [int(n) for n in t.shape][::-1], float(np.abs(dequantize(t.data, t.tensor_type).astype(np.float64)).sum())]
  for t in gguf.GGUFReader(sys.argv[1]).tensors]))`;
      const truth = python(this, ['gguf', 'numpy'], script, file) as [string, string, number[], number][];
      const checkpoint = await openCheckpoint(file);
      assert.deepEqual(
        checkpoint.tensors.map(({ name, dtype, shape }) => [name, dtype, shape]),
        truth.map((each) => each.slice(0, 3)),
      );
      for (const [name, , , sum] of truth) {
        const own = (await values(checkpoint, name)).reduce((total, value) => total + Math.abs(value), 0);
        assert.ok(Math.abs(own - sum) <= 1e-9 * sum, `${name} in ${file}`);
      }
      await checkpoint.close();
    }
  }).timeout(120_000);
});
