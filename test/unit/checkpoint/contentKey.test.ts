import assert from 'node:assert/strict';
import { openCheckpoint } from '../../../src/checkpoint/open.ts';
import { contentKey, equalContent } from '../../../src/checkpoint/ties.ts';
import { testFolder } from '../formats/folder.ts';
import { f32File } from '../formats/safetensorsBytes.ts';

describe('content keys', () => {
  const folder = testFolder();
  const square = (value: (i: number) => number) => ({
    shape: [20, 20],
    values: Array.from({ length: 400 }, (_, i) => value(i)),
  });

  it('are the same for the same values wherever they lie', async () => {
    const one = await openCheckpoint(folder.write('1.safetensors', f32File({ a: square(Math.sin) })));
    const two = await openCheckpoint(
      folder.write(
        '2.safetensors',
        f32File({ pad: square(Math.cos), b: square(Math.sin), c: { ...square(Math.sin), shape: [400] } }),
      ),
    );
    const key = await contentKey(one.tensors[0]!);
    assert.match(key, /^[0-9a-f]{64}$/);
    assert.equal(await contentKey(two.tensors[1]!), key);
    assert.notEqual(await contentKey(two.tensors[0]!), key);
    assert.notEqual(await contentKey(two.tensors[2]!), key);
    await Promise.all([one.close(), two.close()]);
  });

  it('find tied matrices, but not those of one value or those that differ outside the sample', async () => {
    const checkpoint = await openCheckpoint(
      folder.write(
        'model.safetensors',
        f32File({
          embed: square(Math.sin),
          almost: square((i) => (i === 0 ? 5 : Math.sin(i))),
          zeros: square(() => 0),
          head: square(Math.sin),
          fresh: square(() => 0),
          norm1: { shape: [3], values: [1, 2, 3] },
          norm2: { shape: [3], values: [1, 2, 3] },
        }),
      ),
    );
    assert.deepEqual(await equalContent(checkpoint.tensors), [['embed', 'head']]);
    await checkpoint.close();
  });
});
