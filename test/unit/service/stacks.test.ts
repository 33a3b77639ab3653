import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { createService } from '../../../src/service/service.ts';
import { testFolder } from '../formats/folder.ts';
import { f32File } from '../formats/safetensorsBytes.ts';

/** `stack layer: module` of every matrix of a file, as the window and the command line get them. */
async function places(path: string): Promise<string[]> {
  const service = createService({});
  try {
    const { matrices } = await service.open({ path });
    return matrices.map(({ stack, layer, module }) =>
      layer === null ? module : `${[stack, layer].filter((part) => part !== undefined).join(' ')}: ${module}`,
    );
  } finally {
    await service.close();
  }
}

describe('the layers of adapters and of networks with several stacks', () => {
  const folder = testFolder();
  /** Factors of rank 1 for each of these modules, in kohya's naming. */
  const kohya = (modules: readonly string[]) =>
    f32File(
      Object.fromEntries(
        modules.flatMap((module) => [
          [`lora_${module}.lora_down.weight`, { shape: [1, 3], values: [1, 2, 3] }],
          [`lora_${module}.lora_up.weight`, { shape: [2, 1], values: [1, 2] }],
        ]),
      ),
    );

  it('are those of the blocks that the flat names of kohya hold', async () => {
    const cases: readonly (readonly [module: string, place: string])[] = [
      ['unet_joint_blocks_7_x_block_attn_qkv', 'joint_blocks 7: x_block_attn_qkv'],
      ['unet_single_blocks_37_linear2', 'single_blocks 37: linear2'],
      [
        'unet_down_blocks_2_attentions_1_transformer_blocks_9_attn2_to_out_0',
        'down_blocks 2: attentions_1_transformer_blocks_9_attn2_to_out_0',
      ],
      [
        'unet_mid_block_attentions_0_transformer_blocks_3_ff_net_2',
        'mid_block 0: attentions_0_transformer_blocks_3_ff_net_2',
      ],
      ['unet_up_blocks_0_resnets_2_conv_shortcut', 'up_blocks 0: resnets_2_conv_shortcut'],
      ['unet_conv_in', 'unet_conv_in'],
      ['unet_time_embedding_linear_1', 'unet_time_embedding_linear_1'],
      ['te1_text_model_encoder_layers_11_self_attn_q_proj', 'te1 11: self_attn_q_proj'],
      ['te2_text_model_encoder_layers_31_mlp_fc2', 'te2 31: mlp_fc2'],
      ['te3_encoder_block_23_layer_1_DenseReluDense_wi_0', 'te3 23: layer_1_DenseReluDense_wi_0'],
    ];
    const found = await places(folder.write('lora.safetensors', kohya(cases.map(([module]) => module))));
    assert.deepEqual(found.sort(), cases.map(([, place]) => place).sort());
  });

  const root = resolve(process.env.RANKSCOPE_CASES ?? '../shared/cases');
  const files: Readonly<Record<string, readonly string[]>> = {
    'kohya_flux.safetensors': [
      'double_blocks 0: img_attn_qkv',
      'double_blocks 1: txt_mod_lin',
      'single_blocks 2: linear1',
    ],
    'kohya_sdxl.safetensors': [
      'input_blocks 1: 0_in_layers_2',
      'input_blocks 2: 0_out_layers_3',
      'input_blocks 7: 1_transformer_blocks_1_ff_net_0_proj',
      'te1 1: mlp_fc1',
      'unet_out_2',
    ],
    'layer_names_multimodal.safetensors': [
      'audio 1: ffw_layer_end.ffw_layer_2',
      'audio 0: attention.attn.q_proj',
      'text 1: mlp.up_proj',
      'vision 1: attn.qkv',
      'visual.merger.mlp.2',
    ],
  };
  for (const [file, expected] of Object.entries(files))
    it(`are right in ${file}`, async function () {
      if (!existsSync(join(root, file))) {
        this.test!.title += ` (missing: ${join(root, file)})`;
        this.skip();
      }
      const found = await places(join(root, file));
      for (const place of expected) assert.ok(found.includes(place), `${place} is not among ${found.join(', ')}`);
    });
});
