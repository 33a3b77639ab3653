import assert from 'node:assert/strict';
import { dimensionsOf } from '../../../src/model/layout/dimensions.ts';
import { anatomy } from '../../../src/model/names/anatomy.ts';
import { stored, tensor } from './tensors.ts';

type Entry = readonly [name: string, shape: readonly number[]];

function matricesOf(entries: readonly Entry[], configuration: Record<string, unknown> = {}) {
  const parts = entries.map(([name, shape]) => tensor(name, shape));
  const found = anatomy(parts, new Map(), dimensionsOf(configuration, new Map()));
  return { ...found, matrices: stored(found.matrices) };
}

/** Number, shape and orientation of the matrices of the first tensor. */
function first(entries: readonly Entry[], configuration?: Record<string, unknown>) {
  const own = matricesOf(entries, configuration).matrices.filter(({ tensorName }) => tensorName === entries[0]![0]);
  return [own.length, own[0]?.shape.join(' x '), own[0]?.transposed ? 'in, out' : 'out, in'];
}

describe('stacks of matrices', () => {
  const block = 'model.layers.2.';

  it('are recognized by their names: one matrix for each expert', () => {
    for (const name of [
      'block_sparse_moe.input_linear.weight',
      'moe.up_proj.weight',
      'mlp.switch_mlp.up_proj.weight',
      'mlp.experts.w1',
      'ffn_up_exps.weight',
      'feed_forward.experts.up_proj',
    ])
      assert.deepEqual(first([[block + name, [4, 48, 32]]]), [4, '48 x 32', 'out, in'], name);
  });

  it('may be cut where they are experts of PyTorch, each by itself, and not as heads or slices of a larger tensor', () => {
    const fixed = (name: string, shape: number[]) => matricesOf([[name, shape]]).matrices[0]!.fixed;
    assert.equal(fixed(`${block}mlp.experts.gate_up_proj`, [4, 48, 32]), null);
    assert.equal(fixed(`${block}moe.input_linear.weight`, [4, 48, 32]), null);
    assert.match(fixed('layers/2/mlp/experts/wi', [4, 48, 32])!, /slice of a stacked tensor/);
    assert.match(fixed(`${block}attn.attn_k_b.weight`, [4, 48, 32])!, /slice of a stacked tensor/);
    assert.match(fixed(`${block}mlp.experts.gate_up_proj`, [1, 4, 48, 32])!, /slice of a tensor with further axes/);
  });

  it('are recognized by a bias for each slice, a router, the configuration, or a second stack that fits', () => {
    const unnamed: Entry = [`${block}ff.fc1.weight`, [4, 8, 6]];
    assert.equal(first([unnamed])[0], 1);
    assert.equal(first([unnamed, [`${block}ff.fc1.bias`, [4, 8]]])[0], 4);
    assert.equal(first([unnamed, [`${block}ff.gate.weight`, [4, 6]]])[0], 4);
    assert.equal(first([unnamed], { text_config: { num_local_experts: 4 } })[0], 4);
    assert.equal(first([unnamed, [`${block}ff.fc2.weight`, [4, 6, 8]]])[0], 4);
  });

  it('are told from convolutions by a bias that is a vector, by a narrow kernel and by name', () => {
    assert.deepEqual(first([[`${block}net.weight`, [16, 8, 3]]]), [1, '16 x 24', 'out, in']);
    assert.equal(
      first([
        [`${block}fc1.weight`, [4, 8, 40]],
        [`${block}fc1.bias`, [4]],
      ])[0],
      1,
    );
    assert.equal(first([[`${block}conv.weight`, [4, 8, 40]]], { num_experts: 4 })[0], 1);
    assert.equal(first([[`${block}attn.q_proj.weight`, [4, 8, 1]]], { num_attention_heads: 4 })[0], 1);
  });

  it('have the inputs on the side that the biases, the router, the configuration or the norms name', () => {
    const up: Entry = [`${block}mlp.experts.gate_up_proj`, [2, 32, 48]];
    const down: Entry = [`${block}mlp.experts.down_proj`, [2, 24, 32]];
    const turned: Entry = [`${block}mlp.experts.gate_up_proj`, [2, 48, 32]];
    const evidence: readonly (readonly [Entry[], Record<string, unknown>?])[] = [
      [[[`${block}mlp.experts.gate_up_proj_bias`, [2, 48]]]],
      [[[`${block}mlp.router.weight`, [2, 32]]]],
      [[], { hidden_size: 32 }],
      [[], { moe_intermediate_size: 24 }],
      [[[`${block}input_layernorm.weight`, [32]]]],
      [[down]],
    ];
    for (const [entries, configuration] of evidence) {
      assert.deepEqual(first([up, ...entries], configuration), [2, '48 x 32', 'in, out']);
      const others = entries.map((entry): Entry => (entry === down ? [down[0], [2, 32, 24]] : entry));
      assert.deepEqual(first([turned, ...others], configuration), [2, '48 x 32', 'out, in']);
    }
    assert.deepEqual(first([down, [`${block}mlp.router.weight`, [2, 32]]]), [2, '32 x 24', 'in, out']);
  });

  it('are stored like the other stacks of their module where their own shape is square', () => {
    const { matrices, remarks } = matricesOf([
      [`${block}mlp.experts.down_proj`, [2, 32, 32]],
      [`${block}mlp.experts.gate_up_proj`, [2, 32, 64]],
      [`${block}mlp.router.weight`, [2, 32]],
    ]);
    assert.ok(matrices.filter(({ expert }) => expert !== null).every(({ transposed }) => transposed));
    assert.deepEqual(remarks, []);
  });

  it('are shown as stored, with a remark, where nothing says which side is the input', () => {
    const { matrices, remarks } = matricesOf([
      ['model.layers.0.experts.up_proj', [2, 24, 32]],
      ['model.layers.1.experts.up_proj', [2, 24, 32]],
    ]);
    assert.deepEqual(matrices[0]!.shape, [24, 32]);
    assert.equal(remarks.length, 1);
    assert.match(remarks[0]!, /experts\.up_proj .*nothing says which side is the input/);
  });

  it('hold no biases: those of all experts or heads in one tensor are no matrix', () => {
    for (const name of ['mlp.experts.down_proj_bias', 'experts.bias', 'attn.b_Q', 'query/bias', 'ffn_up_exps.bias'])
      assert.match(matricesOf([[`blk.0.${name}`, [4, 32]]]).skipped[0]!.reason, /biases/, name);
    assert.equal(matricesOf([['a.relative_position_bias', [4, 32]]]).matrices.length, 1);
  });

  it('may be the heads of an attention', () => {
    assert.deepEqual(first([['blk.0.attn_k_b.weight', [4, 32, 16]]]), [4, '32 x 16', 'out, in']);
    assert.deepEqual(first([['blocks.0.attn.W_Q', [4, 32, 8]]]), [4, '8 x 32', 'in, out']);
    assert.deepEqual(first([['blocks.0.attn.W_O', [4, 8, 32]]]), [4, '32 x 8', 'in, out']);
    assert.deepEqual(first([['blocks.0.mlp.W_in', [32, 128]]]), [1, '128 x 32', 'in, out']);
    const { matrices } = matricesOf([['blocks.0.attn.W_Q', [4, 32, 8]]]);
    assert.ok(matrices.every(({ expert }) => expert === null));
  });

  it('of an attention have the inputs on the side that the configuration names', () => {
    const configuration = { hidden_size: 32, num_attention_heads: 4 };
    const shapes: readonly (readonly [string, readonly number[], string, string])[] = [
      ['q_proj', [4, 32, 8], '8 x 32', 'in, out'],
      ['wk', [4, 8, 32], '8 x 32', 'out, in'],
      ['o_proj', [4, 8, 32], '32 x 8', 'in, out'],
      ['wo', [4, 32, 8], '32 x 8', 'out, in'],
    ];
    for (const [word, shape, size, way] of shapes)
      assert.deepEqual(first([[`layers.0.attn.${word}`, shape]], configuration), [4, size, way], word);
  });

  it('may be the operands of the einsums of Gemma, with the heads first', () => {
    const layer = 'transformer/layer_0/';
    assert.deepEqual(first([[`${layer}attn/q_einsum/w`, [4, 32, 8]]]), [4, '8 x 32', 'in, out']);
    assert.deepEqual(first([[`${layer}attn/kv_einsum/w`, [2, 3, 32, 8]]]), [6, '8 x 32', 'in, out']);
    assert.deepEqual(first([[`${layer}attn/qkv_einsum/w`, [3, 4, 32, 8]]]), [12, '8 x 32', 'in, out']);
    assert.deepEqual(first([[`${layer}attn/attn_vec_einsum/w`, [4, 8, 32]]]), [4, '32 x 8', 'in, out']);
    for (const end of ['', '/w']) {
      const linear: Entry = [`${layer}mlp/linear${end}`, [48, 32]];
      const gate = (...shape: number[]): Entry => [`${layer}mlp/gating_einsum${end}`, shape];
      assert.deepEqual(first([gate(2, 32, 48), linear]), [2, '48 x 32', 'in, out']);
      assert.deepEqual(first([gate(2, 48, 32), linear]), [2, '48 x 32', 'out, in']);
      assert.deepEqual(first([linear, gate(2, 32, 48)]), [1, '32 x 48', 'in, out']);
    }
    assert.deepEqual(first([['mlp/linear', [48, 32]]]), [1, '48 x 32', 'out, in']);
  });

  it('may be fused with all heads in four axes, told from a convolution by the width', () => {
    const name = 'layers.0.attention.wqkv';
    assert.deepEqual(first([[name, [3, 4, 8, 32]]]), [1, '96 x 32', 'out, in']);
    assert.deepEqual(first([[name, [4, 3, 8, 32]]]), [1, '96 x 32', 'out, in']);
    assert.deepEqual(first([[name, [32, 3, 4, 8]]]), [1, '96 x 32', 'in, out']);
    assert.deepEqual(first([[name, [3, 4, 32, 8]]]), [12, '8 x 32', 'in, out']);
    assert.deepEqual(first([[name, [3, 4, 6, 32]]], { hidden_size: 32 }), [1, '72 x 32', 'out, in']);
    assert.deepEqual(first([['attn.qkv.weight', [96, 32, 3, 3]]]), [1, '96 x 288', 'out, in']);
    assert.deepEqual(first([['attn.qkv.weight', [96, 32, 1, 1]]]), [1, '96 x 32', 'out, in']);
  });

  it('are never more than a layer can have', () =>
    assert.equal(first([['layers.0.experts.w1', [1_000_000, 2, 2]]])[0], 1));
});

describe('layers in one tensor', () => {
  const stack = 'params/llm/layers/';
  const entries: Entry[] = [
    [`${stack}attn/q_proj/kernel`, [3, 32, 4, 8]],
    [`${stack}mlp/moe/experts/kernel`, [3, 4, 32, 24]],
    [`${stack}mlp/linear/w`, [3, 64, 32]],
    [`${stack}ln/scale`, [3, 32]],
    [`${stack}ln/bias`, [3, 32]],
    ['params/llm/head/kernel', [32, 50]],
  ];

  it('are matrices of their layers, and their norms are vectors', () => {
    const { matrices, skipped, layers } = matricesOf(entries);
    assert.equal(layers, 3);
    assert.equal(skipped.length, 2);
    assert.deepEqual(first(entries), [3, '32 x 32', 'in, out']);
    assert.deepEqual(
      matrices
        .filter(({ tensorName }) => tensorName.endsWith('linear/w'))
        .map(({ name, layer, shape, offset }) => ({ name, layer, shape, offset })),
      [0, 1, 2].map((k) => ({ name: `${stack}mlp/linear/w[${k}]`, layer: k, shape: [32, 64], offset: 2048 * k })),
    );
    const experts = matrices.filter(({ expert }) => expert !== null);
    assert.deepEqual([experts.length, experts[5]!.layer, experts[5]!.expert], [12, 1, 1]);
    assert.equal(new Set(matrices.map(({ layer, module }) => `${layer} ${module}`)).size, matrices.length);
  });

  it('may lie along the second axis, as T5X and MaxText store them', () => {
    const decoder = 'params/decoder/layers/';
    const { matrices, layers, skipped } = matricesOf([
      [`${decoder}attention/query/kernel`, [24, 3, 4, 6]],
      [`${decoder}attention/out/kernel`, [4, 3, 6, 24]],
      [`${decoder}mlp/wi_0/kernel`, [24, 3, 40]],
      [`${decoder}mlp/wo/kernel`, [40, 3, 24]],
      [`${decoder}pre_norm/scale`, [24, 3]],
    ]);
    assert.deepEqual([layers, skipped.length], [3, 1]);
    const of = (end: string) => matrices.filter(({ tensorName }) => tensorName.endsWith(`${end}/kernel`));
    // Element (out r, in c) of layer k of the kernel (in, layers, out) is number (c * 3 + k) * out + r.
    for (const [end, inputs, outputs] of [
      ['query', 24, 24],
      ['wi_0', 24, 40],
      ['wo', 40, 24],
    ] as const)
      assert.deepEqual(
        of(end).map(({ layer, shape, offset, layout }) => ({ layer, shape, offset, rowStride: layout.rowStride })),
        [0, 1, 2].map((k) => ({
          layer: k,
          shape: [outputs, inputs],
          offset: k * outputs,
          rowStride: 3 * outputs,
        })),
        end,
      );
    assert.deepEqual(
      of('out').map(({ layer, shape, offset, layout }) => [layer, shape, offset, layout.rowStride]),
      [0, 1, 2, 3].flatMap((head) => [0, 1, 2].map((k) => [k, [24, 6], (head * 3 + k) * 144, 24])),
    );
  });

  it('are told from a network with one unnumbered block by their norms', () => {
    assert.equal(
      first([
        ['layers.conv.weight', [8, 8, 3]],
        ['layers.norm.weight', [8]],
        ['layers.fc.weight', [8, 4]],
      ])[0],
      1,
    );
    assert.equal(matricesOf(entries.filter(([name]) => !name.includes('/ln/'))).layers, 0);
  });
});

describe('experts below each other in one matrix', () => {
  const experts = 'transformer.blocks.0.ffn.experts.mlp.';

  it('are one matrix each where the router or the configuration says how many they are', () => {
    const router: Entry = ['transformer.blocks.0.ffn.router.layer.weight', [4, 32]];
    assert.deepEqual(first([[`${experts}w1`, [96, 32]], router]), [4, '24 x 32', 'out, in']);
    assert.deepEqual(first([[`${experts}w2`, [96, 32]]], { ffn_config: { moe_num_experts: 4 } }), [
      4,
      '32 x 24',
      'in, out',
    ]);
    assert.deepEqual(first([[`${experts}w1`, [96, 32]]]), [1, '96 x 32', 'out, in']);
  });
});

describe('kernels of Keras and JAX', () => {
  it('have their outputs last: convolutions, dense layers, the parts of an attention', () => {
    assert.deepEqual(first([['conv/kernel', [3, 3, 8, 16]]]), [1, '16 x 72', 'in, out']);
    assert.deepEqual(first([['conv.kernel', [3, 3, 8, 16]]]), [1, '16 x 72', 'in, out']);
    assert.deepEqual(first([['conv/kernel', [5, 8, 16]]]), [1, '16 x 40', 'in, out']);
    assert.deepEqual(first([['x/depthwise_kernel', [3, 3, 8, 2]]]), [1, '16 x 9', 'in, out']);
    assert.deepEqual(first([['attn/query/kernel', [32, 4, 6]]]), [1, '24 x 32', 'in, out']);
    assert.deepEqual(first([['attn/out/kernel', [4, 6, 32]]]), [1, '32 x 24', 'in, out']);
    assert.deepEqual(
      first([
        ['a/proj/kernel', [32, 3, 4, 6]],
        ['a/proj/bias', [3, 4, 6]],
      ]),
      [1, '72 x 32', 'in, out'],
    );
    assert.deepEqual(first([['linear/w', [32, 6]]]), [1, '6 x 32', 'in, out']);
    assert.deepEqual(first([['layers/0/moe/experts/w1/kernel', [4, 32, 24]]]), [4, '24 x 32', 'in, out']);
  });

  it('of a transposed convolution are (height, width, out, in) in Keras', () => {
    const kernel: Entry = ['conv2d_transpose/kernel', [3, 3, 8, 16]];
    assert.deepEqual(first([kernel]), [1, '8 x 144', 'out, in']);
    assert.deepEqual(first([kernel, ['conv2d_transpose/bias', [16]]]), [1, '16 x 72', 'in, out']);
    assert.deepEqual(
      first([
        ['layer/kernel', [3, 3, 8, 16]],
        ['layer/bias', [8]],
      ]),
      [1, '8 x 144', 'out, in'],
    );
  });
});

describe('weights of linear layers', () => {
  it('are stored as (in, out) where the bias has as many entries as the second size, their square siblings too', () => {
    const block = 'encoder.h.0.';
    const entries: Entry[] = [
      [`${block}attn.c_proj.weight`, [8, 8]],
      [`${block}attn.c_proj.bias`, [8]],
      [`${block}mlp.c_fc.weight`, [8, 32]],
      [`${block}mlp.c_fc.bias`, [32]],
      [`${block}dense.weight`, [8, 8]],
      [`${block}dense.bias`, [8]],
      [`${block}out.weight`, [32, 8]],
      [`${block}out.bias`, [32]],
    ];
    assert.deepEqual(
      matricesOf(entries).matrices.map(({ transposed, shape }) => [transposed, shape]),
      [
        [true, [8, 8]],
        [true, [32, 8]],
        [false, [8, 8]],
        [false, [32, 8]],
      ],
    );
  });
});

describe('convolutions of PyTorch', () => {
  it('are transposed where the bias has as many entries as the second size', () => {
    assert.deepEqual(
      first([
        ['0.weight', [16, 8, 3, 3]],
        ['0.bias', [8]],
      ]),
      [1, '8 x 144', 'out, in'],
    );
    assert.deepEqual(
      first([
        ['0.weight', [16, 8, 3, 3]],
        ['0.bias', [16]],
      ]),
      [1, '16 x 72', 'out, in'],
    );
    assert.deepEqual(
      first([
        ['0.weight', [16, 4, 3]],
        ['0.bias', [8]],
      ]),
      [2, '4 x 24', 'out, in'],
    );
  });

  it('without a bias are understood by the norm after them, the layer before them, and their name', () => {
    assert.deepEqual(
      first([
        ['main.0.weight', [16, 8, 4, 4]],
        ['main.1.weight', [8]],
      ]),
      [1, '8 x 256', 'out, in'],
    );
    assert.deepEqual(
      first([
        ['main.0.weight', [16, 8, 4, 4]],
        ['main.1.weight', [16]],
      ]),
      [1, '16 x 128', 'out, in'],
    );
    assert.deepEqual(
      first([
        ['main.3.weight', [16, 8, 4, 4]],
        ['main.1.weight', [16]],
      ]),
      [1, '8 x 256', 'out, in'],
    );
    assert.deepEqual(
      first([
        ['deconv1.weight', [16, 8, 4, 4]],
        ['bn1.weight', [16]],
      ]),
      [1, '16 x 128', 'out, in'],
    );
    assert.deepEqual(
      first([
        ['conv3.weight', [16, 8, 1, 1]],
        ['norm3.weight', [8]],
      ]),
      [1, '16 x 8', 'out, in'],
    );
    assert.deepEqual(first([['up1.upsample.weight', [16, 8, 2, 2]]]), [1, '8 x 64', 'out, in']);
    assert.deepEqual(first([['neck.conv_upsampler1.weight', [16, 8, 3, 3]]]), [1, '16 x 72', 'out, in']);
    const { matrices, remarks } = matricesOf([['deconv1.weight', [16, 8, 4, 4]]]);
    assert.deepEqual(matrices[0]!.shape, [8, 256]);
    assert.match(remarks[0]!, /by its name alone/);
  });

  it('with equal numbers of channels are transposed where they are called so', () => {
    const entries = (name: string): Entry[] => [
      [`${name}.weight`, [8, 8, 3, 3]],
      [`${name}.bias`, [8]],
    ];
    assert.match(matricesOf(entries('net.deconv')).matrices[0]!.fixed!, /transposed/);
    for (const name of ['conv_out', 'last_conv', 'up_blocks.0.upsamplers.0.conv'])
      assert.equal(matricesOf(entries(name)).matrices[0]!.fixed, null, name);
  });

  it('in groups are one matrix for each group where their number is known, and always stay dense', () => {
    const grouped: Entry = ['block.conv2.weight', [16, 4, 3, 3]];
    assert.deepEqual(first([grouped, ['block.bn1.weight', [16]]]), [4, '4 x 36', 'out, in']);
    assert.deepEqual(first([grouped, ['block.bn1.weight', [4]]]), [1, '16 x 36', 'out, in']);
    const preceding: Entry[] = [
      ['block.norm1.weight', [16]],
      ['block.norm2.weight', [4]],
    ];
    assert.deepEqual(first([grouped, ...preceding]), [1, '16 x 36', 'out, in']);
    const position: Entry = ['encoder.pos_conv_embed.conv.weight', [32, 8, 16]];
    assert.deepEqual(first([position]), [4, '8 x 128', 'out, in']);
    assert.match(matricesOf([position]).matrices[0]!.fixed!, /grouped/);
    assert.match(matricesOf([['x.gconv.weight', [16, 4, 3]]]).matrices[0]!.fixed!, /grouped/);
    assert.match(matricesOf([['x.dw.weight', [16, 1, 3]]]).matrices[0]!.fixed!, /depthwise/);
  });

  it('do not include bilinear forms', () => {
    for (const [name, shape] of [
      ['bilinear.weight', [5, 6, 7]],
      ['score.weight', [5, 40, 40]],
    ] as const) {
      const entries: Entry[] = [
        [name, shape],
        [name.replace('weight', 'bias'), [5]],
      ];
      assert.deepEqual(first(entries), [1, `5 x ${shape[1] * shape[2]}`, 'out, in']);
      assert.match(matricesOf(entries).matrices[0]!.fixed!, /bilinear/);
    }
  });
});
