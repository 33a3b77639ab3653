import assert from 'node:assert/strict';
import { anatomy } from '../../../src/model/names/anatomy.ts';
import { compareStacks, stackLabels } from '../../../src/model/names/stackLabels.ts';
import { tensor } from './tensors.ts';

/** `stack layer: module` of each name, as the only tensors of a checkpoint. */
function places(names: readonly string[]): string[] {
  const { matrices } = anatomy(names.map((name) => tensor(`${name}.weight`, [4, 4])));
  return matrices.map(({ stack, layer, module }) => {
    const row = [stack, layer].filter((part) => part !== undefined && part !== null).join(' ');
    return row === '' ? module : `${row}: ${module}`;
  });
}

describe('which numbers of a name count layers', () => {
  it('counts the layers of vision, audio and text each in a stack of its own', () =>
    assert.deepEqual(
      places([
        'model.audio_tower.conformer.0.attention.attn.q_proj',
        'model.audio_tower.conformer.1.attention.attn.q_proj',
        'model.language_model.layers.0.mlp.up_proj',
        'model.language_model.layers.1.mlp.up_proj',
        'model.visual.blocks.0.attn.qkv',
        'model.visual.blocks.1.attn.qkv',
      ]),
      [
        'audio 0: attention.attn.q_proj',
        'audio 1: attention.attn.q_proj',
        'text 0: mlp.up_proj',
        'text 1: mlp.up_proj',
        'vision 0: attn.qkv',
        'vision 1: attn.qkv',
      ],
    ));

  it('takes no position in a Sequential and no digit of a word for a layer where a stack is', () =>
    assert.deepEqual(
      places([
        'model.layers.0.ffw_layer_start.ffw_layer_1',
        'model.layers.1.ffw_layer_start.ffw_layer_2',
        'model.layers.1.ff.net.0.proj',
        'model.layers.1.ff.net.2',
        'model.layers.1.to_out.0',
        'model.visual.merger.mlp.0',
        'model.visual.merger.mlp.2',
        'visual_projection.0',
        'visual_projection.2',
        'bbox_embed.layers.0',
        'bbox_embed.layers.1',
        'time_embed.2',
        'conv1',
        'fc2',
      ]),
      [
        '0: ffw_layer_start.ffw_layer_1',
        '1: ffw_layer_start.ffw_layer_2',
        '1: ff.net.0.proj',
        '1: ff.net.2',
        '1: to_out.0',
        'visual.merger.mlp.0',
        'visual.merger.mlp.2',
        'visual_projection.0',
        'visual_projection.2',
        'bbox_embed.layers.0',
        'bbox_embed.layers.1',
        'time_embed.2',
        'conv1',
        'fc2',
      ],
    ));

  it('finds a stack under any word if modules follow a number that varies, but never in experts', () =>
    assert.deepEqual(
      places(['tower.conformer.0.ffw_layer_1.linear', 'tower.conformer.3.ffw_layer_1.linear', 'x.experts.0.up.proj']),
      ['0: ffw_layer_1.linear', '3: ffw_layer_1.linear', 'x.experts.0.up.proj'],
    ));

  it('counts a plain list of layers if the checkpoint has no stack of blocks', () =>
    assert.deepEqual(places(['net.0', 'net.2', 'net.4']), ['0: net', '2: net', '4: net']));

  it('takes the outer blocks of a U-Net as layers, in dots and in the flat names of kohya', () => {
    assert.deepEqual(
      places([
        'down_blocks.0.resnets.0.conv1',
        'down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q',
        'down_blocks.1.attentions.1.transformer_blocks.1.attn1.to_q',
        'mid_block.attentions.0.transformer_blocks.0.attn1.to_q',
        'up_blocks.2.upsamplers.0.conv',
      ]),
      [
        'down_blocks 0: resnets.0.conv1',
        'down_blocks 1: attentions.0.transformer_blocks.0.attn1.to_q',
        'down_blocks 1: attentions.1.transformer_blocks.1.attn1.to_q',
        'mid_block 0: attentions.0.transformer_blocks.0.attn1.to_q',
        'up_blocks 2: upsamplers.0.conv',
      ],
    );
    assert.deepEqual(
      places([
        'unet_input_blocks_1_0_in_layers_2',
        'unet_input_blocks_4_1_transformer_blocks_0_attn1_to_k',
        'unet_middle_block_1_transformer_blocks_3_attn1_to_k',
        'unet_output_blocks_5_2_conv',
        'unet_mid_block_attentions_0_proj_in',
        'unet_out_2',
        'te1_text_model_encoder_layers_31_mlp_fc1',
        'te2_text_model_encoder_layers_31_mlp_fc1',
      ]),
      [
        'input_blocks 1: 0_in_layers_2',
        'input_blocks 4: 1_transformer_blocks_0_attn1_to_k',
        'middle_block 1: transformer_blocks_3_attn1_to_k',
        'output_blocks 5: 2_conv',
        'mid_block 0: attentions_0_proj_in',
        'unet_out_2',
        'te1 31: mlp_fc1',
        'te2 31: mlp_fc1',
      ],
    );
  });

  it('takes the levels of an autoencoder as layers', () =>
    assert.deepEqual(
      places([
        'decoder.up.0.block.0.conv1',
        'decoder.up.1.upsample.conv',
        'decoder.mid.block_1.conv1',
        'decoder.mid.attn_1.q',
      ]),
      ['up 0: block.0.conv1', 'up 1: upsample.conv', 'mid 0: block_1.conv1', 'mid 0: attn_1.q'],
    ));

  it('takes the blocks of a hierarchy as layers, and each stage as a stack', () => {
    assert.deepEqual(
      places([
        'swin.encoder.layers.0.blocks.0.mlp',
        'swin.encoder.layers.1.blocks.0.mlp',
        'swin.encoder.layers.1.blocks.1.mlp',
        'swin.encoder.layers.0.downsample.reduction',
      ]),
      ['layers.0 0: mlp', 'layers.1 0: mlp', 'layers.1 1: mlp', 'swin.encoder.layers.0.downsample.reduction'],
    );
    assert.deepEqual(places(['encoder.block.0.0.mlp.dense1', 'encoder.block.1.2.mlp.dense1']), [
      'block.0 0: mlp.dense1',
      'block.1 2: mlp.dense1',
    ]);
    assert.deepEqual(places(['features.denseblock1.denselayer2.conv1', 'features.denseblock2.denselayer1.conv1']), [
      'denseblock1 2: conv1',
      'denseblock2 1: conv1',
    ]);
    assert.deepEqual(places(['layer1.0.conv1', 'layer1.1.conv1', 'layer2.0.conv1']), [
      'layer1 0: conv1',
      'layer1 1: conv1',
      'layer2 0: conv1',
    ]);
  });

  it('leaves sublayers of one block in the names of its modules', () => {
    assert.deepEqual(places(['encoder.block.0.layer.0.SelfAttention.q', 'encoder.block.1.layer.1.DenseReluDense.wo']), [
      '0: SelfAttention.q',
      '1: DenseReluDense.wo',
    ]);
    assert.deepEqual(places(['transformer.layers.0.0.to_qkv', 'transformer.layers.1.1.net.1']), [
      '0: 0.to_qkv',
      '1: 1.net.1',
    ]);
  });

  it('understands the names of TensorFlow, Keras and Flax', () =>
    assert.deepEqual(
      [
        places(['bert/encoder/layer_3/attention/self/query', 'bert/pooler/dense']),
        places(['params/encoderblock_3/MlpBlock_3/Dense_0']),
        places(['block_2_expand', 'block_16_project', 'dense_1', 'conv2d_3']),
        places(['block1_conv1', 'block5_conv3']),
        places(['conv2_block1_1_conv', 'conv3_block4_2_conv']),
      ],
      [
        ['3: attention.self.query', 'pooler.dense'],
        ['3: MlpBlock_3.Dense_0'],
        ['2: expand', '16: project', 'dense_1', 'conv2d_3'],
        ['1: conv1', '5: conv3'],
        ['conv2_block 1: 1_conv', 'conv3_block 4: 2_conv'],
      ],
    ));

  it('understands the names of llama.cpp for several stacks', () =>
    assert.deepEqual(places(['blk.0.attn_q', 'v.blk.0.attn_q', 'a.blk.0.attn_q', 'mm.0', 'mm.2']), [
      'text 0: attn_q',
      'vision 0: attn_q',
      'audio 0: attn_q',
      'mm.0',
      'mm.2',
    ]));
});

describe('the names of stacks', () => {
  const labels = (...stacks: string[]) => [...stackLabels(new Set(stacks)).values()];

  it('are empty for the only one, and short but unique for several', () => {
    assert.deepEqual(labels('model.layers'), ['']);
    assert.deepEqual(labels('model.encoder.layers', 'model.decoder.layers'), ['encoder', 'decoder']);
    assert.deepEqual(
      labels(
        'vision_model.transformer.layers',
        'vision_model.global_transformer.layers',
        'language_model.model.layers',
      ),
      ['vision', 'vision.global_transformer', 'text'],
    );
    assert.deepEqual(
      labels(
        'thinker.visual.blocks',
        'thinker.audio_tower.layers',
        'thinker.model.layers',
        'talker.model.layers',
        'talker.code_predictor.model.layers',
      ),
      ['vision', 'audio', 'thinker', 'talker', 'talker.code_predictor'],
    );
    assert.deepEqual(labels('double_blocks', 'single_blocks'), ['double_blocks', 'single_blocks']);
    assert.deepEqual(labels('transformer_blocks', 'single_transformer_blocks'), [
      'transformer_blocks',
      'single_transformer_blocks',
    ]);
    assert.deepEqual(labels('layers', 'noise_refiner', 'h'), ['layers', 'noise_refiner', 'h']);
  });

  it('are sorted along the flow of data', () =>
    assert.deepEqual(
      ['text', 'audio', 'vision', 'up_blocks', 'mid_block', 'down_blocks', 'te2', 'te1'].sort(compareStacks),
      ['te1', 'te2', 'vision', 'audio', 'down_blocks', 'mid_block', 'up_blocks', 'text'],
    ));
});
