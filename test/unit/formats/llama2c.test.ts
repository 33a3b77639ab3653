import assert from 'node:assert/strict';
import { checkpointPath } from './checkpointFiles.ts';
import { testFolder } from './folder.ts';
import { llama2cBytes } from './llama2cBytes.ts';
import { readAll, withCheckpoint } from './readAll.ts';

describe('llama2.c files', () => {
  const folder = testFolder();

  for (const version of [0, 1] as const)
    for (const ownHead of [false, true])
      it(`reads version ${version} with ${ownHead ? 'an untied' : 'a tied'} head to its last value`, async () => {
        const path = folder.write('model.bin', llama2cBytes({ version, ownHead }));
        await withCheckpoint(path, async (checkpoint) => {
          assert.equal(checkpoint.format, 'llama2.c');
          assert.deepEqual(checkpoint.warnings, []);
          const values = await readAll(checkpoint);
          const first = version === 0 ? 'tok_embeddings.weight' : 'layers.0.attention_norm.weight';
          assert.equal(values[first]?.[0], 0);
          const shape = (name: string) => checkpoint.tensors.find((tensor) => tensor.name === name)?.shape;
          assert.deepEqual(shape('layers.1.attention.wk.weight'), [2, 4]);
          assert.deepEqual(shape('layers.1.feed_forward.w2.weight'), [4, 6]);
          assert.deepEqual(shape('output.weight'), ownHead ? [5, 4] : undefined);
          const all = Object.values(values).flat();
          assert.equal(new Set(all).size, all.length);
          // Version 0 stores its rotary tables between the last norm and the head.
          const tables = version === 0 ? 6 : 0;
          assert.equal(Math.max(...all), all.length - 1 + (ownHead ? tables : 0));
        });
      });

  for (const ownHead of [false, true])
    it(`dequantizes the 8-bit groups of version 2 with ${ownHead ? 'an untied' : 'a tied'} head`, () =>
      withCheckpoint(folder.write('model.bin', llama2cBytes({ version: 2, ownHead })), async (checkpoint) => {
        const values = await readAll(checkpoint);
        const dequantized = (count: number) =>
          Array.from({ length: count }, (_, i) => (i - 10) * (Math.floor(i / 2) + 1));
        assert.deepEqual(values['tok_embeddings.weight'], dequantized(20));
        assert.deepEqual(values['layers.1.feed_forward.w3.weight'], dequantized(24));
        assert.deepEqual(values['norm.weight'], [1, 1, 1, 1]);
        assert.deepEqual(values['output.weight'], ownHead ? dequantized(20) : undefined);
        const wk = checkpoint.tensors.find(({ name }) => name === 'layers.0.attention.wk.weight')!;
        assert.deepEqual([wk.dtype, wk.shape, wk.bytes], ['F32 (I8)', [2, 4], 8 + 16]);
        const out = new Float32Array(3);
        await wk.read(3, out);
        assert.deepEqual([...out], [-7 * 2, -6 * 3, -5 * 3]);
        const noise = await wk.deviation?.(0, 8);
        assert.ok(Math.abs(noise! - Math.sqrt((1 + 4 + 9 + 16) / 4 / 12)) < 1e-6);
        assert.equal(checkpoint.metadata.get('groupSize'), '2');
      }));

  it('recognizes every version of llama2.c by its content, whatever its name', async () => {
    for (const version of [0, 1, 2] as const)
      await withCheckpoint(folder.write('weights.gguf', llama2cBytes({ version, ownHead: true })), (checkpoint) => {
        assert.equal(checkpoint.format, 'llama2.c');
        assert.match(checkpoint.warnings.join(), /ends in \.gguf, but its content is llama2\.c/);
      });
  });

  it('does not recognize a llama2.c file with one byte too many', async () => {
    const path = folder.write(
      'model.bin',
      Buffer.concat([llama2cBytes({ version: 0, ownHead: false }), Buffer.alloc(1)]),
    );
    await assert.rejects(
      withCheckpoint(path, () => {}),
      /neither a zip archive nor a pickle/,
    );
  });

  it('reads the same values from stories260K in llama2.c and in Hugging Face form', async function () {
    const bin = await withCheckpoint(checkpointPath(this, 'llama2c-stories260K/stories260K.repaired.bin'), readAll);
    const hf = await withCheckpoint(checkpointPath(this, 'stories260K-hf/model.safetensors'), readAll);
    assert.deepEqual(bin['tok_embeddings.weight'], hf['model.embed_tokens.weight']);
    assert.deepEqual(bin['layers.3.feed_forward.w2.weight'], hf['model.layers.3.mlp.down_proj.weight']);
    assert.deepEqual(bin['layers.2.attention.wv.weight'], hf['model.layers.2.self_attn.v_proj.weight']);
    assert.deepEqual(bin['norm.weight'], hf['model.norm.weight']);
  });
});
