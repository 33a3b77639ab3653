import assert from 'node:assert/strict';
import { adapterConfiguration, adapterScale } from '../../../src/formats/adapter/configuration.ts';
import { findAdapterPairs } from '../../../src/formats/adapter/pairs.ts';
import type { TensorInfo } from '../../../src/formats/checkpoint.ts';
import { checkpointPath } from './checkpointFiles.ts';
import { testFolder } from './folder.ts';
import { withCheckpoint } from './readAll.ts';
import { f32File } from './safetensorsBytes.ts';

const tensor = (name: string, shape: readonly number[]): TensorInfo => ({
  name,
  shape,
  dtype: 'F32',
  bytes: 4,
  storage: name,
  file: 0,
});

/** Names of the down and the up factor, and what they adapt. */
const NAMES: Record<string, readonly [down: string, up: string, target: string]> = {
  peft: [
    'base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight',
    'base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight',
    'model.layers.0.self_attn.q_proj',
  ],
  'peft with a named adapter': [
    'base_model.model.x.lora_A.default.weight',
    'base_model.model.x.lora_B.default.weight',
    'x',
  ],
  'peft of an embedding': ['base_model.model.wte.lora_embedding_A', 'base_model.model.wte.lora_embedding_B', 'wte'],
  'diffusers through peft': ['unet.down.0.to_q.lora_A.weight', 'unet.down.0.to_q.lora_B.weight', 'unet.down.0.to_q'],
  'diffusers of before': [
    'unet.down.0.processor.to_q_lora.down.weight',
    'unet.down.0.processor.to_q_lora.up.weight',
    'unet.down.0.processor.to_q',
  ],
  'diffusers of text encoders': [
    'text_encoder.q.lora_linear_layer.down.weight',
    'text_encoder.q.lora_linear_layer.up.weight',
    'text_encoder.q',
  ],
  kohya: ['lora_unet_down_0_to_q.lora_down.weight', 'lora_unet_down_0_to_q.lora_up.weight', 'unet_down_0_to_q'],
  cloneofsimo: ['unet:12:down', 'unet:12:up', 'unet:12'],
};

describe('adapters', () => {
  const folder = testFolder();

  for (const [naming, [down, up, target]] of Object.entries(NAMES))
    it(`are recognized by the names of ${naming}`, () => {
      const found = findAdapterPairs([tensor(up, [6, 2]), tensor('other.weight', [3, 3]), tensor(down, [2, 5])]);
      assert.equal(
        found?.naming,
        naming.split(' ')[0] === 'diffusers' && naming.includes('peft') ? 'peft' : naming.split(' ')[0],
      );
      assert.deepEqual(
        found?.pairs.map((pair) => [pair.target, pair.down.name, pair.up.name, pair.rank]),
        [[target, down, up, 2]],
      );
    });

  it('keep what stands beside a pair: alpha and magnitude', () => {
    const kohya = ['lora_te_q.lora_down.weight', 'lora_te_q.lora_up.weight', 'lora_te_q.alpha', 'lora_te_q.dora_scale'];
    const [pair] = findAdapterPairs(kohya.map((name) => tensor(name, [2, 2])))!.pairs;
    assert.equal(pair?.alpha?.name, 'lora_te_q.alpha');
    assert.equal(pair?.magnitude?.name, 'lora_te_q.dora_scale');
    const peft = ['x.lora_A.weight', 'x.lora_B.weight', 'x.lora_magnitude_vector.weight'];
    assert.equal(findAdapterPairs(peft.map((name) => tensor(name, [2, 2])))!.pairs[0]?.magnitude?.name, peft[2]);
  });

  it('are not seen where factors do not fit, or in a model', () => {
    assert.equal(findAdapterPairs([tensor('x.lora_A.weight', [2, 5]), tensor('x.lora_B.weight', [6, 3])]), undefined);
    assert.equal(findAdapterPairs([tensor('x.lora_A.weight', [2, 5])]), undefined);
    assert.equal(
      findAdapterPairs([tensor('model.layers.0.up.weight', [2, 5]), tensor('down.weight', [5, 2])]),
      undefined,
    );
  });

  it('have the scale of their configuration', async () => {
    const path = folder.write('adapter_model.safetensors', f32File({ w: { shape: [1], values: [1] } }));
    const scaleOf = (json: object, target: string, ownAlpha?: number) => {
      folder.write('adapter_config.json', JSON.stringify(json));
      return withCheckpoint(path, async (checkpoint) =>
        adapterScale({ target, rank: 16 }, await adapterConfiguration(checkpoint), ownAlpha),
      );
    };
    assert.equal(await scaleOf({ r: 16, lora_alpha: 32 }, 'a.q_proj'), 2);
    assert.equal(await scaleOf({ r: 16, lora_alpha: 32, use_rslora: true }, 'a.q_proj'), 8);
    const pattern = { r: 8, lora_alpha: 32, alpha_pattern: { 'a.k_proj': 4, q_proj: 8, '^a.v_proj': 1 } };
    assert.equal(await scaleOf(pattern, 'a.q_proj'), 0.5);
    assert.equal(await scaleOf(pattern, 'b.q_projection'), 2);
    assert.equal(await scaleOf(pattern, 'a.v_proj'), 1 / 16);
    assert.equal(await scaleOf({ r: 8, lora_alpha: 32 }, 'x', 4), 0.25);
    assert.equal(await scaleOf({}, 'x'), 1);
  });

  it('of real files have all their pairs', async function () {
    const counts: Record<string, readonly [naming: string, pairs: number, rank: number]> = {
      'lora-gpt2-tigrinya': ['peft', 36, 8],
      'lora-cloneofsimo/analog_svd_rank4.safetensors': ['cloneofsimo', 192, 4],
      'lora-cloneofsimo/lora_disney.safetensors': ['cloneofsimo', 192, 1],
    };
    for (const [name, [naming, pairs, rank]] of Object.entries(counts))
      await withCheckpoint(checkpointPath(this, name), ({ tensors }) => {
        const found = findAdapterPairs(tensors);
        assert.deepEqual([found?.naming, found?.pairs.length, found?.pairs[0]?.rank], [naming, pairs, rank], name);
      });
  });
});
