import assert from 'node:assert/strict';
import { openCheckpoint } from '../../../src/checkpoint/open.ts';
import { equalContent } from '../../../src/checkpoint/ties.ts';
import { testFolder } from '../formats/folder.ts';
import { f32File } from '../formats/safetensorsBytes.ts';

describe('equal content', () => {
  const folder = testFolder();
  const square = (value: (i: number) => number) => ({
    shape: [20, 20],
    values: Array.from({ length: 400 }, (_, i) => value(i)),
  });

  it('finds matrices equal wherever they are stored, but not those of another shape', async () => {
    const one = await openCheckpoint(folder.write('1.safetensors', f32File({ a: square(Math.sin) })));
    const two = await openCheckpoint(
      folder.write(
        '2.safetensors',
        f32File({ pad: square(Math.cos), b: square(Math.sin), c: { ...square(Math.sin), shape: [10, 40] } }),
      ),
    );
    assert.deepEqual(await equalContent([...one.tensors, ...two.tensors]), [['a', 'b']]);
    await Promise.all([one.close(), two.close()]);
  });

  it('finds tied matrices, but neither those of one value nor those that differ outside the sample', async () => {
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
