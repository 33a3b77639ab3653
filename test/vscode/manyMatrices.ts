import { writeFile } from 'node:fs/promises';

const MATRICES = ['q_proj', 'k_proj', 'v_proj', 'o_proj']
  .map((name) => `self_attn.${name}`)
  .concat(['gate_proj', 'up_proj', 'down_proj'].map((name) => `mlp.${name}`));
const NORMS = ['input_layernorm', 'post_attention_layernorm'];
const SIZE = 16;

/**
 * Writes a safetensors file of `layers` layers as the sample's model.py makes them, each with seven matrices that are
 * next to no work: what costs time per matrix shows in it, and nothing else.
 */
export async function writeManyMatrices(file: string, layers: number): Promise<void> {
  const tensors: [name: string, shape: readonly number[]][] = [['model.embed_tokens.weight', [SIZE, SIZE]]];
  for (let layer = 0; layer < layers; layer++) {
    for (const name of MATRICES) tensors.push([`model.layers.${layer}.${name}.weight`, [SIZE, SIZE]]);
    for (const name of NORMS) tensors.push([`model.layers.${layer}.${name}.weight`, [SIZE]]);
  }
  tensors.push(['model.norm.weight', [SIZE]]);
  let end = 0;
  const directory = tensors.map(([name, shape]) => {
    const start = end;
    end += 4 * shape.reduce((size, length) => size * length, 1);
    return [name, { dtype: 'F32', shape, data_offsets: [start, end] }];
  });
  const header = Buffer.from(JSON.stringify(Object.fromEntries(directory)));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  // No two matrices alike, so that none is known from another.
  const values = Float32Array.from({ length: end / 4 }, (_, index) => Math.sin(index * index + index));
  await writeFile(file, Buffer.concat([length, header, Buffer.from(values.buffer)]));
}
