import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { decodeFloats, ENCODED_BYTES } from '../../../src/base/encoding.ts';
import { elementCount } from '../../../src/base/shape.ts';
import { openCheckpoint } from '../../../src/checkpoint/open.ts';
import { checkpointPath } from '../formats/checkpointFiles.ts';
import { storedMatrix } from '../model/tensors.ts';

/** One of every format and type that has them. */
const FOLDERS = [
  'stories260K-hf',
  'stories260K-gguf',
  'stories260K-sharded',
  'llama2c-stories260K',
  'retsim-dtypes',
  'guesslang-tfjs',
  'magika',
  'magika-tfjs',
  'silero-vad',
  'textgenrnn',
  'kquants-gguf',
];
const MOST = 5000;

describe('rows as they are stored', function () {
  this.timeout(60_000);

  for (const folder of FOLDERS) {
    it(`decode to the values that are read, for every tensor in ${folder}`, async function () {
      const root = checkpointPath(this, folder);
      for (const file of readdirSync(root)) {
        const checkpoint = await openCheckpoint(join(root, file)).catch(() => undefined);
        for (const tensor of checkpoint?.tensors ?? []) {
          const cols = elementCount(tensor.shape);
          const stored = storedMatrix(tensor, 1, cols).source().stored;
          if (!stored) continue;
          const count = Math.min(cols, MOST);
          const bytes = new Uint8Array(count * ENCODED_BYTES[stored.encoding]);
          await stored.read(0, bytes);
          const [found, right] = [new Float32Array(count), new Float32Array(count)];
          decodeFloats(stored.encoding, bytes, found);
          await tensor.read(0, right);
          assert.deepEqual(found, right, `${file}: ${tensor.name}`);
        }
        await checkpoint?.close();
      }
    });
  }

  it('exist for plain floats, and not for blocks', async function () {
    const plain = await openCheckpoint(checkpointPath(this, 'stories260K-hf/model.safetensors'));
    const blocks = await openCheckpoint(checkpointPath(this, 'kquants-gguf'));
    const has = ({ checkpoint, dtype }: { checkpoint: typeof plain; dtype: RegExp }) =>
      checkpoint.tensors
        .filter((tensor) => dtype.test(tensor.dtype))
        .map((tensor) => storedMatrix(tensor, 1, elementCount(tensor.shape)).source().stored !== undefined);
    assert.ok(has({ checkpoint: plain, dtype: /^F32$/ }).includes(true));
    assert.ok(!has({ checkpoint: plain, dtype: /^F32$/ }).includes(false));
    assert.ok(has({ checkpoint: blocks, dtype: /^Q/ }).includes(false));
    assert.ok(!has({ checkpoint: blocks, dtype: /^Q/ }).includes(true));
    await Promise.all([plain.close(), blocks.close()]);
  });
});
