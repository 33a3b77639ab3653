import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { seededRandom } from '../../../../src/base/random.ts';
import { fileOf, type Stored } from '../../formats/storedFile.ts';

/** The configuration of a llama of two layers, with a number that must keep its point. */
export const CONFIGURATION = `{
  "architectures": ["LlamaForCausalLM"],
  "model_type": "llama",
  "hidden_size": 24,
  "intermediate_size": 40,
  "num_attention_heads": 2,
  "num_key_value_heads": 2,
  "num_hidden_layers": 2,
  "vocab_size": 32,
  "max_position_embeddings": 64,
  "rms_norm_eps": 1e-05,
  "rope_theta": 10000.0,
  "tie_word_embeddings": false,
  "torch_dtype": "float32"
}
`;

/** Writes a llama of two layers with random weights, with what lies beside a model; returns its folder. */
export function smallModel(folder: string, more: Readonly<Record<string, Stored>> = {}): string {
  mkdirSync(folder, { recursive: true });
  const random = seededRandom(7);
  const weight = (...shape: number[]): Stored => ({
    dtype: 'F32',
    shape,
    data: Float32Array.from({ length: shape.reduce((a, b) => a * b) }, () => random.normal() / 5),
  });
  const tensors: Record<string, Stored> = { 'model.embed_tokens.weight': weight(32, 24) };
  for (const layer of [0, 1]) {
    const stem = `model.layers.${layer}`;
    for (const name of ['q', 'k', 'v', 'o']) tensors[`${stem}.self_attn.${name}_proj.weight`] = weight(24, 24);
    for (const name of ['gate', 'up']) tensors[`${stem}.mlp.${name}_proj.weight`] = weight(40, 24);
    tensors[`${stem}.mlp.down_proj.weight`] = weight(24, 40);
    tensors[`${stem}.input_layernorm.weight`] = weight(24);
    tensors[`${stem}.post_attention_layernorm.weight`] = weight(24);
  }
  tensors['model.norm.weight'] = weight(24);
  tensors['lm_head.weight'] = weight(32, 24);
  writeFileSync(join(folder, 'model.safetensors'), fileOf({ ...tensors, ...more }));
  const texts = {
    'config.json': CONFIGURATION,
    'generation_config.json': '{"eos_token_id": 2}',
    'tokenizer.json': '{}',
    'LICENSE.txt': 'To be read.',
    'README.md': '# A model',
    'training_args.bin': 'x',
  };
  for (const [name, text] of Object.entries(texts)) writeFileSync(join(folder, name), text);
  return folder;
}
