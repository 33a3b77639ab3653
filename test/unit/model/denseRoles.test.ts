import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { dimensionsOf } from '../../../src/model/layout/dimensions.ts';
import { anatomy } from '../../../src/model/names/anatomy.ts';
import { python } from '../formats/python.ts';
import { tensor } from './tensors.ts';

type Named = readonly [name: string, shape: readonly number[], role: string];

/** Names and shapes of real networks with the role of each, beyond the tables of families. */
const NETWORKS: Readonly<Record<string, readonly Named[]>> = {
  'Qwen 3 MoE': [
    ['model.layers.0.mlp.gate.weight', [128, 2048], 'router'],
    ['model.layers.0.mlp.experts.127.gate_proj.weight', [768, 2048], 'gate'],
    ['model.layers.0.self_attn.k_proj.weight', [512, 2048], 'key'],
    ['model.layers.0.self_attn.q_norm.weight', [128], ''],
  ],
  'Qwen 2 MoE': [
    ['model.layers.0.mlp.shared_expert_gate.weight', [1, 2048], 'router'],
    ['model.layers.0.mlp.shared_expert.gate_proj.weight', [5632, 2048], 'gate'],
    ['model.layers.0.mlp.gate.weight', [60, 2048], 'router'],
  ],
  LLaMA: [
    ['model.layers.0.mlp.gate_proj.weight', [11008, 4096], 'gate'],
    ['model.layers.0.self_attn.k_proj.weight', [1024, 4096], 'key'],
    ['score.weight', [2, 4096], 'head'],
  ],
  Mixtral: [
    ['model.layers.0.block_sparse_moe.gate.weight', [8, 4096], 'router'],
    ['model.layers.0.block_sparse_moe.experts.7.w1.weight', [14336, 4096], 'gate'],
  ],
  'Switch Transformers': [
    ['encoder.block.1.layer.1.mlp.router.classifier.weight', [8, 768], 'router'],
    ['encoder.block.1.layer.1.mlp.experts.expert_0.wi.weight', [3072, 768], 'up'],
    ['encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight', [32, 12], 'position'],
    ['shared.weight', [32128, 768], 'embedding'],
  ],
  'gpt-oss as released': [
    ['block.0.mlp.gate.weight', [32, 2880], 'router'],
    ['block.0.attn.qkv.weight', [5120, 2880], 'qkv'],
    ['embedding.weight', [201088, 2880], 'embedding'],
    ['unembedding.weight', [201088, 2880], 'head'],
  ],
  'Llama 4': [
    ['language_model.model.layers.0.feed_forward.router.weight', [16, 5120], 'router'],
    ['vision_model.patch_embedding.linear.weight', [1408, 588], 'stem'],
    ['vision_model.positional_embedding_vlm', [577, 1408], 'position'],
  ],
  Hunyuan: [['model.layers.0.mlp.gate.wg.weight', [64, 4096], 'router']],
  Granite: [
    ['model.layers.0.block_sparse_moe.router.layer.weight', [32, 1024], 'router'],
    ['model.layers.0.block_sparse_moe.input_linear.weight', [32, 1024, 1024], 'convolution|other'],
  ],
  Zaya: [['model.layers.0.mlp.gate.router_mlp.fc1.weight', [256, 2048], 'router']],
  EoMT: [
    ['query.weight', [200, 1024], 'embedding'],
    ['layers.0.attention.query.weight', [1024, 1024], 'query'],
  ],
  LongCat: [['model.layers.0.mlp.router.classifier.weight', [768, 6144], 'router']],
  'experts that are chosen by a matrix of an unknown name': [
    ['decoder.layers.0.moe.experts.3.fc_in.weight', [64, 32], 'other'],
    ['decoder.layers.0.moe.switch.weight', [4, 32], 'router'],
    ['decoder.layers.0.moe.assign.w.weight', [4, 32], 'router'],
    ['decoder.layers.0.moe.other.weight', [8, 32], 'other'],
  ],
  'a layer that holds its experts itself': [
    ['layers.0.experts.0.w_a.weight', [64, 32], 'other'],
    ['layers.0.experts.15.w_a.weight', [64, 32], 'other'],
    ['layers.0.gate.weight', [16, 32], 'router'],
    ['layers.0.mix.weight', [16, 32], 'other'],
  ],
  'GGUF mixture of experts': [
    ['blk.0.ffn_gate_inp.weight', [128, 2048], 'router'],
    ['blk.0.ffn_gate_inp_shexp.weight', [1, 2048], 'router'],
    ['blk.0.ffn_gate.weight', [768, 2048], 'gate'],
    ['blk.0.ffn_gate_exps.weight', [128, 768, 2048], 'gate'],
    ['token_embd.weight', [151936, 2048], 'embedding'],
    ['output.weight', [151936, 2048], 'head'],
    ['blk.0.attn_output.weight', [2048, 4096], 'output'],
  ],
  'GGUF BERT': [
    ['token_types.weight', [2, 768], 'embedding'],
    ['position_embd.weight', [512, 768], 'position'],
    ['blk.0.attn_q.weight', [768, 768], 'query'],
  ],
  'GGUF of a vision tower': [
    ['v.patch_embd.weight', [1024, 3, 14, 14], 'stem'],
    ['v.position_embd.weight', [577, 1024], 'position'],
    ['v.blk.0.attn_q.weight', [1024, 1024], 'query'],
  ],
  'gated feed-forward layer of another network': [
    ['blocks.0.ff.gate.weight', [4096, 1024], 'gate'],
    ['blocks.1.ff.gate.weight', [4096, 1024], 'gate'],
  ],
  BERT: [
    ['bert.embeddings.word_embeddings.weight', [30522, 768], 'embedding'],
    ['bert.embeddings.token_type_embeddings.weight', [2, 768], 'embedding'],
    ['bert.embeddings.position_embeddings.weight', [512, 768], 'position'],
    ['bert.encoder.layer.0.attention.self.distance_embedding.weight', [1023, 64], 'position'],
    ['bert.encoder.layer.0.attention.output.dense.weight', [768, 768], 'output'],
    ['bert.pooler.dense.weight', [768, 768], 'other'],
    ['cls.predictions.transform.dense.weight', [768, 768], 'head'],
    ['cls.predictions.decoder.weight', [30522, 768], 'head'],
    ['cls.seq_relationship.weight', [2, 768], 'head'],
    ['qa_outputs.weight', [2, 768], 'head'],
  ],
  RoBERTa: [
    ['roberta.encoder.layer.0.attention.self.query.weight', [768, 768], 'query'],
    ['lm_head.dense.weight', [768, 768], 'head'],
    ['lm_head.decoder.weight', [50265, 768], 'head'],
    ['classifier.out_proj.weight', [2, 768], 'head'],
  ],
  DeBERTa: [
    ['deberta.encoder.rel_embeddings.weight', [512, 768], 'position'],
    ['deberta.encoder.layer.0.attention.self.query_proj.weight', [768, 768], 'query'],
    ['deberta.encoder.layer.0.attention.self.pos_key_proj.weight', [768, 768], 'other'],
  ],
  OPT: [
    ['model.decoder.embed_positions.weight', [2050, 768], 'position'],
    ['model.decoder.project_in.weight', [1024, 512], 'other'],
  ],
  'GPT-2': [
    ['wpe.weight', [1024, 768], 'position'],
    ['wte.weight', [50257, 768], 'embedding'],
    ['h.0.attn.c_attn.weight', [768, 2304], 'qkv'],
  ],
  nanoGPT: [
    ['transformer.wpe.weight', [1024, 768], 'position'],
    ['lm_head.weight', [50304, 768], 'head'],
    ['transformer.h.0.mlp.c_proj.weight', [768, 3072], 'down|other'],
  ],
  'a GPT from a tutorial': [
    ['token_embedding_table.weight', [65, 384], 'embedding'],
    ['position_embedding_table.weight', [256, 384], 'position'],
    ['blocks.0.sa.heads.0.key.weight', [64, 384], 'key'],
    ['blocks.1.sa.heads.5.key.weight', [64, 384], 'key'],
    ['blocks.0.ffwd.net.0.weight', [1536, 384], 'other'],
    ['lm_head.weight', [65, 384], 'head'],
  ],
  Whisper: [
    ['model.encoder.conv1.weight', [384, 80, 3], 'stem'],
    ['model.encoder.conv2.weight', [384, 384, 3], 'stem'],
    ['model.encoder.embed_positions.weight', [1500, 384], 'position'],
    ['model.encoder.layers.0.fc1.weight', [1536, 384], 'up'],
    ['model.decoder.embed_positions.weight', [448, 384], 'position'],
    ['model.decoder.embed_tokens.weight', [51865, 384], 'embedding'],
    ['proj_out.weight', [51865, 384], 'head'],
  ],
  'Whisper as released': [
    ['encoder.conv1.weight', [384, 80, 3], 'stem'],
    ['encoder.positional_embedding', [1500, 384], 'position'],
    ['encoder.blocks.0.attn.query.weight', [384, 384], 'query'],
    ['decoder.token_embedding.weight', [51865, 384], 'embedding'],
  ],
  'wav2vec 2': [
    ['wav2vec2.feature_extractor.conv_layers.0.conv.weight', [512, 1, 10], 'stem'],
    ['wav2vec2.feature_extractor.conv_layers.6.conv.weight', [512, 512, 2], 'stem'],
    ['wav2vec2.encoder.pos_conv_embed.conv.weight', [768, 48, 128], 'position'],
    ['wav2vec2.feature_projection.projection.weight', [768, 512], 'other'],
    ['wav2vec2.encoder.layers.0.attention.k_proj.weight', [768, 768], 'key'],
    ['lm_head.weight', [32, 768], 'head'],
  ],
  Conformer: [
    ['encoder.layers.0.self_attn.linear_pos.weight', [512, 512], 'other'],
    ['encoder.pre_encode.conv.0.weight', [256, 1, 3, 3], 'convolution'],
  ],
  ViT: [
    ['vit.embeddings.position_embeddings', [1, 197, 768], 'position'],
    ['vit.embeddings.patch_embeddings.projection.weight', [768, 3, 16, 16], 'stem'],
    ['vit.encoder.layer.0.attention.attention.query.weight', [768, 768], 'query'],
    ['classifier.weight', [1000, 768], 'head'],
  ],
  'ViT of timm': [
    ['patch_embed.proj.weight', [768, 3, 16, 16], 'stem'],
    ['pos_embed', [1, 197, 768], 'position'],
    ['blocks.0.attn.proj.weight', [768, 768], 'output'],
    ['head.weight', [1000, 768], 'head'],
  ],
  ConvNeXt: [
    ['stem.0.weight', [96, 3, 4, 4], 'stem'],
    ['stages.0.blocks.0.mlp.fc1.weight', [384, 96], 'up'],
    ['head.fc.weight', [1000, 768], 'head'],
  ],
  Swin: [
    ['layers.0.blocks.0.attn.relative_position_bias_table', [169, 3], 'position'],
    ['layers.0.downsample.reduction.weight', [192, 384], 'other'],
  ],
  SAM: [
    ['vision_encoder.layers.0.attn.rel_pos_h', [27, 80], 'position'],
    ['vision_encoder.layers.1.attn.rel_pos_h', [127, 80], 'position'],
    ['vision_encoder.pos_embed', [1, 64, 64, 1280], 'position'],
  ],
  SigLIP: [
    ['vision_model.embeddings.patch_embedding.weight', [1152, 3, 14, 14], 'stem'],
    ['vision_model.head.mlp.fc1.weight', [4304, 1152], 'up'],
    ['vision_model.head.attention.out_proj.weight', [1152, 1152], 'output'],
  ],
  'CLIP as released': [
    ['visual.conv1.weight', [768, 3, 16, 16], 'stem'],
    ['visual.positional_embedding', [197, 768], 'position'],
    ['positional_embedding', [77, 512], 'position'],
    ['token_embedding.weight', [49408, 512], 'embedding'],
    ['visual.transformer.resblocks.0.attn.in_proj_weight', [2304, 768], 'qkv'],
  ],
  ResNet: [
    ['conv1.weight', [64, 3, 7, 7], 'stem'],
    ['layer1.0.conv1.weight', [64, 64, 1, 1], 'convolution'],
    ['layer1.0.conv2.weight', [64, 64, 3, 3], 'convolution'],
    ['fc.weight', [1000, 2048], 'head'],
  ],
  ResNeXt: [
    ['conv1.weight', [64, 3, 7, 7], 'stem'],
    ['layer1.0.conv2.weight', [128, 4, 3, 3], 'convolution'],
  ],
  VGG: [
    ['features.0.weight', [64, 3, 3, 3], 'stem'],
    ['features.2.weight', [64, 64, 3, 3], 'convolution'],
    ['classifier.0.weight', [4096, 25088], 'other'],
    ['classifier.3.weight', [4096, 4096], 'other'],
    ['classifier.6.weight', [1000, 4096], 'head'],
  ],
  'ResNet of transformers': [
    ['resnet.embedder.embedder.convolution.weight', [64, 3, 7, 7], 'stem'],
    ['resnet.encoder.stages.0.layers.0.layer.0.convolution.weight', [64, 64, 1, 1], 'convolution'],
    ['classifier.1.weight', [1000, 2048], 'head'],
  ],
  YOLO: [
    ['model.0.conv.weight', [16, 3, 3, 3], 'stem'],
    ['model.1.conv.weight', [32, 16, 3, 3], 'convolution'],
  ],
  DETR: [
    ['model.query_position_embeddings.weight', [100, 256], 'position'],
    ['class_labels_classifier.weight', [92, 256], 'head'],
    ['bbox_predictor.layers.0.weight', [256, 256], 'head'],
    ['model.decoder.layers.0.encoder_attn.q_proj.weight', [256, 256], 'query'],
  ],
  'V-JEPA': [
    ['predictor.layer.0.attention.query.weight', [384, 384], 'query'],
    ['predictor.layer.1.mlp.fc1.weight', [1536, 384], 'up'],
  ],
  'UNet of diffusers': [
    ['conv_in.weight', [320, 4, 3, 3], 'stem'],
    ['conv_out.weight', [4, 320, 3, 3], 'head'],
    ['down_blocks.0.resnets.0.conv1.weight', [320, 320, 3, 3], 'convolution'],
    ['down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q.weight', [320, 320], 'query'],
    ['time_embedding.linear_1.weight', [1280, 320], 'other'],
  ],
  'FLUX of diffusers': [
    ['x_embedder.weight', [3072, 64], 'stem'],
    ['context_embedder.weight', [3072, 4096], 'stem'],
    ['transformer_blocks.0.norm1.linear.weight', [18432, 3072], 'other'],
    ['proj_out.weight', [64, 3072], 'head'],
  ],
  DiT: [
    ['x_embedder.proj.weight', [1152, 4, 2, 2], 'stem'],
    ['y_embedder.embedding_table.weight', [1001, 1152], 'embedding'],
    ['pos_embed', [1, 256, 1152], 'position'],
    ['blocks.0.adaLN_modulation.1.weight', [6912, 1152], 'other'],
    ['final_layer.linear.weight', [32, 1152], 'head'],
  ],
  Chameleon: [
    ['model.layers.0.self_attn.q_norm.weight', [32, 128], 'norm'],
    ['model.layers.0.self_attn.q_proj.weight', [4096, 4096], 'query'],
  ],
  Gemma: [
    ['model.language_model.embed_tokens_per_layer.weight', [262144, 8960], 'embedding'],
    ['model.language_model.layers.0.per_layer_input_gate.weight', [256, 2048], 'other'],
  ],
  'Keras text model': [
    ['embedding/embeddings:0', [1000, 64], 'embedding'],
    ['dense/kernel:0', [64, 32], 'other'],
  ],
  'GPT of Megatron': [
    ['language_model.embedding.word_embeddings.weight', [50304, 1024], 'embedding'],
    ['language_model.embedding.position_embeddings.weight', [2048, 1024], 'position'],
    ['language_model.output_layer.weight', [50304, 1024], 'head'],
    ['language_model.encoder.layers.0.self_attention.linear_qkv.weight', [3072, 1024], 'other'],
  ],
  'OLMo as released': [
    ['model.transformer.wte.weight', [50304, 2048], 'embedding'],
    ['model.transformer.ff_out.weight', [50304, 2048], 'head'],
    ['model.transformer.blocks.0.ff_out.weight', [2048, 8192], 'other'],
  ],
  'DeepSeek as released': [
    ['embed.weight', [129280, 7168], 'embedding'],
    ['head.weight', [129280, 7168], 'head'],
    ['layers.3.ffn.gate.weight', [256, 7168], 'router'],
    ['layers.3.ffn.experts.255.w1.weight', [2048, 7168], 'gate'],
    ['layers.3.ffn.shared_experts.w1.weight', [2048, 7168], 'gate'],
    ['layers.0.ffn.w1.weight', [18432, 7168], 'gate'],
  ],
  'GPT-2 of Flax': [
    ['transformer.wte.embedding', [50257, 768], 'embedding'],
    ['transformer.wpe.embedding', [1024, 768], 'position'],
  ],
  'BERT of TensorFlow': [
    ['bert/embeddings/word_embeddings', [30522, 768], 'embedding'],
    ['bert/embeddings/position_embeddings', [512, 768], 'position'],
    ['bert/embeddings/token_type_embeddings', [2, 768], 'embedding'],
    ['cls/seq_relationship/output_weights', [2, 768], 'head'],
  ],
  TransformerLens: [
    ['embed.W_E', [50257, 768], 'embedding'],
    ['pos_embed.W_pos', [1024, 768], 'position'],
    ['unembed.W_U', [768, 50257], 'head'],
  ],
  'Stable Diffusion as released': [
    ['model.diffusion_model.input_blocks.0.0.weight', [320, 4, 3, 3], 'stem'],
    ['model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn1.to_q.weight', [320, 320], 'query'],
    ['cond_stage_model.transformer.text_model.embeddings.position_embedding.weight', [77, 768], 'position'],
  ],
  'FLUX as released': [
    ['img_in.weight', [3072, 64], 'stem'],
    ['double_blocks.0.img_mod.lin.weight', [18432, 3072], 'other'],
    ['double_blocks.0.img_attn.qkv.weight', [9216, 3072], 'qkv'],
    ['final_layer.linear.weight', [64, 3072], 'head'],
  ],
  CTRL: [['transformer.w.weight', [246534, 1280], 'embedding']],
};

describe('what stays dense by default, by its name and what is around it', () => {
  for (const [network, names] of Object.entries(NETWORKS))
    it(`tells tables, heads, routers, norms and stems of ${network} from its layers`, () => {
      const { matrices } = anatomy(names.map(([name, shape]) => tensor(name, shape)));
      const roles = new Map(matrices.map(({ tensorName, role }) => [tensorName, role]));
      for (const [name, shape, expected] of names) {
        const found = roles.get(name) ?? '';
        assert.ok(expected.split('|').includes(found), `${name} ${shape.join('x')}: ${found} instead of ${expected}`);
      }
    });

  it('takes a matrix outside of the layers with a row for each token of the configuration for a head', () => {
    const names = ['log_softmax.mlp.layer0.weight', 'model.layers.0.mlp.layer0.weight'];
    const roles = (configuration: Record<string, unknown>) =>
      anatomy(
        names.map((name) => tensor(name, [1000, 64])),
        new Map(),
        dimensionsOf(configuration, new Map()),
      ).matrices.map(({ role }) => role === 'head');
    assert.deepEqual(roles({ decoder_config: { vocab_size: 1000 } }), [true, false]);
    assert.deepEqual(roles({ vocab_size: 999 }), [false, false]);
  });

  it('finds the same roles when a checkpoint wraps its names', () => {
    const names = NETWORKS.BERT!;
    const { matrices } = anatomy(names.map(([name, shape]) => tensor(`module.${name}`, shape)));
    assert.deepEqual(
      matrices.map(({ role }) => role),
      names.map(([, , role]) => role),
    );
  });

  it('does not take a matrix of an expert for a router', () => {
    const gates = Array.from({ length: 4 }, (_, k) => tensor(`layers.0.moe.experts.${k}.gate.weight`, [4, 64]));
    const { matrices } = anatomy([...gates, tensor('layers.0.moe.gate.weight', [4, 64])]);
    assert.deepEqual(
      matrices.map(({ role }) => role === 'router'),
      [false, false, false, false, true],
    );
  });

  it('agrees with the modules that hold the weights in models of transformers', function () {
    this.timeout(300_000);
    const script = readFileSync('test/python/module_kinds.py', 'utf8');
    const models = python(this, ['torch', 'transformers'], script) as Record<string, [string, number[], string][]>;
    const expected: Readonly<Record<string, RegExp>> = {
      table: /^(embedding|position|norm)$/,
      head: /^head$/,
      router: /^router$/,
      stem: /^stem$/,
      layer: /^(?!embedding|position|head|router|norm|stem)/,
    };
    const counts = new Map<string, number>();
    const wrong: string[] = [];
    for (const [model, weights] of Object.entries(models)) {
      const { matrices } = anatomy(weights.map(([name, shape]) => tensor(name, shape)));
      const roles = new Map(matrices.map(({ tensorName, role }) => [tensorName, role]));
      for (const [name, shape, kind] of weights) {
        if (kind === '') continue;
        counts.set(kind, (counts.get(kind) ?? 0) + 1);
        const role = roles.get(name)!;
        if (!expected[kind]!.test(role)) wrong.push(`${model} ${name} ${shape.join('x')}: ${role}, ${kind}`);
      }
    }
    assert.deepEqual(wrong, []);
    assert.ok(Object.keys(models).length > 35, `${Object.keys(models).length} models`);
    for (const kind of Object.keys(expected)) assert.ok(counts.get(kind)! >= 8, `${kind}: ${counts.get(kind)}`);
  });
});
