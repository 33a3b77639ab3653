import assert from 'node:assert/strict';
import { equalContent } from '../../../src/checkpoint/equalContent.ts';
import { openCheckpoint } from '../../../src/checkpoint/open.ts';
import { expertModel, TINY_EXPERTS } from '../../fixtures/giants/models.ts';
import { writeSparseShards } from '../../fixtures/giants/sparseShards.ts';
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

  it('reads two kilobytes at most of each matrix of a huge model whose shards are all zero', async () => {
    const small = {
      layers: 3,
      dense: 1,
      experts: 4,
      hidden: 7168,
      inner: 18432,
      expertInner: 2048,
      vocabulary: 129280,
    };
    const size = writeSparseShards(folder.path('huge'), expertModel(small), 4);
    const checkpoint = await openCheckpoint(folder.path('huge'));
    let read = 0;
    const counted = checkpoint.tensors.map((tensor) =>
      Object.assign(Object.create(tensor), {
        readStored(offset: number, out: Uint8Array, signal?: AbortSignal) {
          read += out.length;
          return tensor.readStored!(offset, out, signal);
        },
      }),
    );
    assert.deepEqual(await equalContent(counted), []);
    assert.ok(size > 5e9 && read > 0, `${read} of ${size} bytes`);
    // Three samples of each, some of them twice, and the whole of what is very small.
    assert.ok(read <= 2 * 3 * 256 * counted.length + 2 ** 20, `${read} bytes of ${counted.length} tensors`);
    await checkpoint.close();
  });

  it('finds a head equal to the embedding in shards whose other matrices are all zero', async () => {
    const values = Buffer.from(Float32Array.from({ length: 48 * 32 }, (_, k) => Math.sin(k)).buffer);
    writeSparseShards(folder.path('tied'), expertModel(TINY_EXPERTS, 'F32'), 3, (name) =>
      /embed_tokens|lm_head/.test(name) ? values : undefined,
    );
    const checkpoint = await openCheckpoint(folder.path('tied'));
    assert.deepEqual(await equalContent(checkpoint.tensors), [['model.embed_tokens.weight', 'lm_head.weight']]);
    await checkpoint.close();
  });

  it('ends between two reads when it is cancelled', async () => {
    writeSparseShards(folder.path('huge'), expertModel(TINY_EXPERTS), 2);
    const checkpoint = await openCheckpoint(folder.path('huge'));
    const abort = new AbortController();
    const search = equalContent(checkpoint.tensors, abort.signal);
    abort.abort();
    await assert.rejects(search, { code: 'cancelled' });
    await checkpoint.close();
  });
});
