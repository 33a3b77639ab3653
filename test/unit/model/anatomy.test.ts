import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import fc from 'fast-check';
import { openCheckpoint } from '../../../src/checkpoint/open.ts';
import type { Matrix } from '../../../src/model/matrix.ts';
import { anatomy } from '../../../src/model/names/anatomy.ts';
import { FAMILIES } from '../../../src/model/names/families.ts';
import { stored, tensor } from './tensors.ts';

/** Per family: real names (layer 3 of a deeper network) with the expected stack and layer, module and role. */
const NAMES: Readonly<Record<string, readonly (readonly [string, number | string | null, string, string])[]>> = {
  LLaMA: [
    ['model.embed_tokens.weight', null, 'embed_tokens', 'embedding'],
    ['model.layers.3.self_attn.q_proj.weight', 3, 'self_attn.q_proj', 'query'],
    ['model.layers.3.self_attn.o_proj.weight', 3, 'self_attn.o_proj', 'output'],
    ['model.layers.3.mlp.gate_proj.weight', 3, 'mlp.gate_proj', 'gate'],
    ['model.layers.3.mlp.down_proj.weight', 3, 'mlp.down_proj', 'down'],
    ['lm_head.weight', null, 'lm_head', 'head'],
  ],
  Qwen: [
    ['model.layers.3.self_attn.k_proj.weight', 3, 'self_attn.k_proj', 'key'],
    ['model.layers.3.self_attn.q_proj.weight', 3, 'self_attn.q_proj', 'query'],
  ],
  Gemma: [
    ['model.layers.3.self_attn.v_proj.weight', 3, 'self_attn.v_proj', 'value'],
    ['model.layers.3.mlp.up_proj.weight', 3, 'mlp.up_proj', 'up'],
  ],
  Mixtral: [
    ['model.layers.3.block_sparse_moe.gate.weight', 3, 'block_sparse_moe.gate', 'router'],
    ['model.layers.3.block_sparse_moe.experts.7.w1.weight', 3, 'block_sparse_moe.experts.7.w1', 'gate'],
    ['model.layers.3.block_sparse_moe.experts.7.w2.weight', 3, 'block_sparse_moe.experts.7.w2', 'down'],
    ['model.layers.3.self_attn.q_proj.weight', 3, 'self_attn.q_proj', 'query'],
  ],
  'Qwen MoE': [
    ['model.layers.3.mlp.gate.weight', 3, 'mlp.gate', 'router'],
    ['model.layers.3.mlp.experts.12.up_proj.weight', 3, 'mlp.experts.12.up_proj', 'up'],
    ['model.layers.3.mlp.shared_expert_gate.weight', 3, 'mlp.shared_expert_gate', 'router'],
    ['model.layers.3.mlp.shared_expert.down_proj.weight', 3, 'mlp.shared_expert.down_proj', 'down'],
    ['model.layers.3.self_attn.q_proj.weight', 3, 'self_attn.q_proj', 'query'],
  ],
  DeepSeek: [
    ['model.layers.3.self_attn.q_a_proj.weight', 3, 'self_attn.q_a_proj', 'query'],
    ['model.layers.3.self_attn.kv_a_proj_with_mqa.weight', 3, 'self_attn.kv_a_proj_with_mqa', 'other'],
    ['model.layers.3.mlp.gate.weight', 3, 'mlp.gate', 'router'],
    ['model.layers.3.mlp.shared_experts.down_proj.weight', 3, 'mlp.shared_experts.down_proj', 'down'],
  ],
  'gpt-oss': [
    ['model.layers.3.self_attn.q_proj.weight', 3, 'self_attn.q_proj', 'query'],
    ['model.layers.3.mlp.router.weight', 3, 'mlp.router', 'router'],
  ],
  'LLaMA with experts': [
    ['model.layers.3.mlp.gate.weight', 3, 'mlp.gate', 'router'],
    ['model.layers.3.mlp.shared_experts.down_proj.weight', 3, 'mlp.shared_experts.down_proj', 'down'],
    ['model.layers.3.self_attn.q_proj.weight', 3, 'self_attn.q_proj', 'query'],
  ],
  'Phi-3': [
    ['model.layers.3.self_attn.qkv_proj.weight', 3, 'self_attn.qkv_proj', 'qkv'],
    ['model.layers.3.mlp.gate_up_proj.weight', 3, 'mlp.gate_up_proj', 'gateUp'],
  ],
  Phi: [
    ['model.layers.3.self_attn.dense.weight', 3, 'self_attn.dense', 'output'],
    ['model.layers.3.mlp.fc1.weight', 3, 'mlp.fc1', 'up'],
  ],
  'LLaMA (Meta)': [
    ['tok_embeddings.weight', null, 'tok_embeddings', 'embedding'],
    ['layers.3.attention.wq.weight', 3, 'attention.wq', 'query'],
    ['layers.3.feed_forward.w2.weight', 3, 'feed_forward.w2', 'down'],
  ],
  GGUF: [
    ['token_embd.weight', null, 'token_embd', 'embedding'],
    ['blk.3.attn_q.weight', 3, 'attn_q', 'query'],
    ['blk.3.ffn_down.weight', 3, 'ffn_down', 'down'],
  ],
  'GPT-2': [
    ['transformer.wte.weight', null, 'wte', 'embedding'],
    ['transformer.h.3.attn.c_attn.weight', 3, 'attn.c_attn', 'qkv'],
    ['transformer.h.3.mlp.c_proj.weight', 3, 'mlp.c_proj', 'down'],
  ],
  'GPT-NeoX': [
    ['gpt_neox.embed_in.weight', null, 'embed_in', 'embedding'],
    ['gpt_neox.layers.3.attention.query_key_value.weight', 3, 'attention.query_key_value', 'qkv'],
    ['gpt_neox.layers.3.mlp.dense_4h_to_h.weight', 3, 'mlp.dense_4h_to_h', 'down'],
  ],
  'BLOOM / Falcon': [
    ['transformer.word_embeddings.weight', null, 'word_embeddings', 'embedding'],
    ['transformer.h.3.self_attention.query_key_value.weight', 3, 'self_attention.query_key_value', 'qkv'],
  ],
  BERT: [
    ['bert.embeddings.word_embeddings.weight', null, 'embeddings.word_embeddings', 'embedding'],
    ['bert.encoder.layer.3.attention.self.query.weight', 3, 'attention.self.query', 'query'],
    ['bert.encoder.layer.3.output.dense.weight', 3, 'output.dense', 'down'],
  ],
  DistilBERT: [['distilbert.transformer.layer.3.attention.q_lin.weight', 3, 'attention.q_lin', 'query']],
  T5: [
    ['shared.weight', null, 'shared', 'embedding'],
    ['encoder.block.3.layer.0.SelfAttention.q.weight', 'encoder 3', 'SelfAttention.q', 'query'],
    ['decoder.block.3.layer.1.EncDecAttention.v.weight', 'decoder 3', 'EncDecAttention.v', 'value'],
    ['decoder.block.3.layer.2.DenseReluDense.wi_0.weight', 'decoder 3', 'DenseReluDense.wi_0', 'gate'],
  ],
  OPT: [
    ['model.decoder.embed_tokens.weight', null, 'decoder.embed_tokens', 'embedding'],
    ['model.decoder.layers.3.self_attn.out_proj.weight', 3, 'self_attn.out_proj', 'output'],
    ['model.decoder.layers.3.fc2.weight', 3, 'fc2', 'down'],
  ],
  BART: [
    ['model.encoder.layers.3.fc1.weight', 'encoder 3', 'fc1', 'up'],
    ['model.decoder.layers.3.encoder_attn.q_proj.weight', 'decoder 3', 'encoder_attn.q_proj', 'query'],
  ],
  CLIP: [
    ['text_model.encoder.layers.3.mlp.fc1.weight', 'text 3', 'mlp.fc1', 'up'],
    ['vision_model.encoder.layers.3.self_attn.k_proj.weight', 'vision 3', 'self_attn.k_proj', 'key'],
  ],
  ViT: [
    ['vit.encoder.layer.3.attention.attention.key.weight', 3, 'attention.attention.key', 'key'],
    ['vit.encoder.layer.3.attention.attention.query.weight', 3, 'attention.attention.query', 'query'],
    ['vit.encoder.layer.3.intermediate.dense.weight', 3, 'intermediate.dense', 'up'],
  ],
  'ViT (timm)': [
    ['blocks.3.attn.qkv.weight', 3, 'attn.qkv', 'qkv'],
    ['head.weight', null, 'head', 'head'],
  ],
  RWKV: [
    ['emb.weight', null, 'emb', 'embedding'],
    ['blocks.3.att.receptance.weight', 3, 'att.receptance', 'query'],
    ['blocks.3.ffn.value.weight', 3, 'ffn.value', 'down'],
  ],
  'Llama 4': [
    ['model.layers.3.feed_forward.router.weight', 3, 'feed_forward.router', 'router'],
    ['model.layers.3.feed_forward.shared_expert.up_proj.weight', 3, 'feed_forward.shared_expert.up_proj', 'up'],
  ],
};

/** Vectors that tell a family from another whose matrices have the same names. */
const MARKS: Readonly<Record<string, string>> = {
  Qwen: 'model.layers.3.self_attn.q_proj.bias',
  Gemma: 'model.layers.3.pre_feedforward_layernorm.weight',
  'gpt-oss': 'model.layers.3.self_attn.sinks',
};

/** The row of a matrix in the heatmap. */
const row = ({ stack, layer }: Matrix) => (stack === undefined ? layer : `${stack} ${layer}`);

const only = (name: string, shape: readonly number[], dtype = 'F32') => anatomy([tensor(name, shape, { dtype })]);

describe('what a tensor is, by its name', () => {
  it('checks every family in the tables against real names', () => {
    assert.deepEqual(Object.keys(NAMES).sort(), FAMILIES.map(({ name }) => name).sort());
  });

  for (const [family, names] of Object.entries(NAMES))
    for (const wrapper of ['', 'module.', '_orig_mod.'])
      it(`${family}${wrapper && ` in ${wrapper}`}: layer, module and role`, () => {
        const mark = MARKS[family] ? [tensor(wrapper + MARKS[family], [8])] : [];
        const found = anatomy([...names.map(([name]) => tensor(wrapper + name, [8, 8])), ...mark]);
        assert.equal(found.family, family);
        assert.deepEqual(
          found.matrices.map((matrix) => [matrix.name.slice(wrapper.length), row(matrix), matrix.module, matrix.role]),
          names,
        );
        assert.equal(found.layers, 4);
      });

  it('gives an adapter the family, layer and module of what it adapts', () => {
    const name = 'base_model.model.model.layers.2.self_attn.q_proj.lora_A.weight';
    const { family, matrices } = anatomy([tensor(name, [4, 8])]);
    assert.equal(family, 'LLaMA');
    const { layer, module, role } = matrices[0]!;
    assert.deepEqual([layer, module, role], [2, 'self_attn.q_proj.lora_A', 'adapter']);
    assert.match(matrices[0]!.fixed ?? '', /adapter/);
    const base = anatomy([tensor(name.replace('lora_A', 'base_layer'), [8, 8])]);
    assert.equal(base.family, 'LLaMA');
    assert.equal(base.matrices[0]!.role, 'query');
  });

  it('recognizes no family by an embedding alone', () =>
    assert.equal(only('model.embed_tokens.weight', [8, 8]).family, null));
});

describe('what a tensor is, by an unknown name', () => {
  const places = (...names: string[]) =>
    anatomy(names.map((name) => tensor(name, [4, 4]))).matrices.map((matrix) => [row(matrix), matrix.module]);

  it('treats the last varying number as the layer and the rest as the module', () => {
    assert.deepEqual(places('a.1.b.2.v', 'a.1.b.3.v', 'a.1.b.3.u'), [
      [2, 'v'],
      [3, 'v'],
      [3, 'u'],
    ]);
    assert.deepEqual(places('features.0.weight', 'features.3.weight'), [
      [0, 'features'],
      [3, 'features'],
    ]);
  });

  it('keeps stacks with the same layer numbers apart', () => {
    assert.deepEqual(
      places('layer1.0.conv.weight', 'layer1.1.conv.weight', 'layer2.0.conv.weight', 'layer2.1.conv.weight'),
      [
        ['layer1 0', 'conv'],
        ['layer1 1', 'conv'],
        ['layer2 0', 'conv'],
        ['layer2 1', 'conv'],
      ],
    );
  });

  it('understands slashes, colons and numbers after an underscore', () => {
    assert.deepEqual(
      places('bert/encoder/layer_4/attention/self/query/kernel', 'encoder.layers.encoder_layer_5.mlp.weight'),
      [
        ['bert 4', 'attention.self.query'],
        ['encoder 5', 'mlp'],
      ],
    );
  });

  it('gives no two matrices of a checkpoint the same stack, layer and module, whatever their names', () => {
    const part = fc.constantFrom('a', 'b', 'layers', 'blocks', '0', '1', '2', 'x_1', 'conv1');
    const name = fc.array(part, { minLength: 1, maxLength: 5 }).map((parts) => parts.join('.'));
    fc.assert(
      fc.property(fc.uniqueArray(name, { maxLength: 20 }), (names) => {
        const { matrices } = anatomy(names.map((text) => tensor(text, [2, 2])));
        assert.equal(new Set(matrices.map((matrix) => `${row(matrix)} ${matrix.module}`)).size, names.length);
      }),
      { seed: 1, numRuns: 500 },
    );
  });

  it('handles __proto__, constructor and a name with # like other names', () => {
    const names = [
      '__proto__',
      'constructor',
      'h.0.__proto__',
      'h.0.constructor',
      'a.#.b.0.c',
      'h.0.attn.c_attn.weight',
    ];
    const { matrices } = anatomy(names.map((name) => tensor(name, [2, 3])));
    assert.deepEqual(
      matrices.map(({ name }) => name),
      names,
    );
  });
});

describe('what shape a matrix has', () => {
  it("gives GPT-2's (in, out) matrices the shape [out, in]", () => {
    const { matrices } = anatomy([
      tensor('h.0.attn.c_attn.weight', [8, 24]),
      tensor('h.0.attn.c_proj.weight', [8, 8]),
      tensor('h.0.mlp.c_fc.weight', [8, 32]),
      tensor('wte.weight', [50, 8]),
    ]);
    assert.deepEqual(
      stored(matrices).map(({ transposed, shape, rows, cols }) => [transposed, shape, rows, cols]),
      [
        [true, [24, 8], 8, 24],
        [true, [8, 8], 8, 8],
        [true, [32, 8], 8, 32],
        [false, [50, 8], 50, 8],
      ],
    );
  });

  it('does not transpose the same names in re-implementations with linear layers', () => {
    const { matrices } = anatomy([tensor('h.0.attn.c_attn.weight', [24, 8]), tensor('h.0.attn.c_proj.weight', [8, 8])]);
    assert.deepEqual(
      stored(matrices).map(({ transposed, shape }) => [transposed, shape]),
      [
        [false, [24, 8]],
        [false, [8, 8]],
      ],
    );
  });

  it('reads a convolution as (out, in * kernel)', () => {
    assert.deepEqual(only('conv.weight', [16, 3, 5, 7]).matrices[0]?.shape, [16, 105]);
    assert.deepEqual(only('conv.weight', [16, 3, 5]).matrices[0]?.shape, [16, 15]);
    assert.deepEqual(only('conv.weight', [16, 3, 2, 5, 7]).matrices[0]?.shape, [16, 210]);
  });

  it('transposes kernels that are stored with their outputs last', () => {
    const { matrices } = anatomy([tensor('dense/kernel', [3, 5]), tensor('conv/kernel', [2, 2, 3, 7])]);
    assert.deepEqual(
      stored(matrices).map(({ shape, rows, cols, transposed }) => ({ shape, rows, cols, transposed })),
      [
        { shape: [5, 3], rows: 3, cols: 5, transposed: true },
        { shape: [7, 12], rows: 12, cols: 7, transposed: true },
      ],
    );
  });

  it('splits experts in one 3-D tensor into a matrix each', () => {
    const { matrices } = only('model.layers.1.mlp.experts.gate_up_proj', [3, 8, 4]);
    assert.deepEqual(
      stored(matrices).map(({ name, shape, offset, layer, module }) => [name, shape, offset, layer, module]),
      [0, 1, 2].map((k) => [
        `model.layers.1.mlp.experts.gate_up_proj[${k}]`,
        [8, 4],
        32 * k,
        1,
        `mlp.experts.gate_up_proj[${k}]`,
      ]),
    );
    assert.ok(matrices.every(({ fixed }) => fixed === null));
  });

  it('numbers the experts of a layer, whether they are split or stacked', () => {
    const { matrices } = anatomy([
      tensor('model.layers.3.mlp.experts.7.up_proj.weight', [8, 4]),
      tensor('model.layers.3.mlp.gate.weight', [8, 4]),
      tensor('model.layers.3.mlp.shared_expert.up_proj.weight', [8, 4]),
      tensor('model.layers.4.mlp.experts.up_proj', [2, 8, 4]),
    ]);
    assert.deepEqual(
      matrices.map(({ layer, expert }) => [layer, expert]),
      [
        [3, 7],
        [3, null],
        [3, null],
        [4, 0],
        [4, 1],
      ],
    );
  });

  it('counts sizes of one only in the weight of a layer', () => {
    assert.deepEqual(only('conv.weight', [1, 3, 5, 5]).matrices[0]?.shape, [1, 75]);
    assert.deepEqual(only('embeddings.position_embeddings', [1, 17, 16]).matrices[0]?.shape, [17, 16]);
    assert.deepEqual(only('blocks.0.gamma', [1, 8, 1, 1]).skipped, [{ name: 'blocks.0.gamma', reason: 'a vector' }]);
    assert.deepEqual(only('gate.weight', [1, 1]).matrices[0]?.shape, [1, 1]);
    assert.deepEqual(only('scale', [1, 1]).skipped, [{ name: 'scale', reason: 'a single number' }]);
  });

  it('skips tensors that are not matrices, with the reason', () => {
    const cases: [string, number[], string, RegExp][] = [
      ['norm.weight', [8], 'F32', /vector/],
      ['step', [], 'F32', /single number/],
      ['ids', [4, 4], 'I64', /integers \(I64\)/],
      ['mask', [4, 4], 'BOOL', /booleans/],
      ['none', [4, 0], 'F32', /empty/],
    ];
    for (const [name, shape, dtype, reason] of cases) {
      const { matrices, skipped } = only(name, shape, dtype);
      assert.equal(matrices.length, 0);
      assert.match(skipped[0]!.reason, reason);
    }
    const gpt2 = anatomy([tensor('h.0.attn.bias', [1, 1, 8, 8]), tensor('h.0.attn.c_attn.weight', [8, 24])]);
    assert.deepEqual(gpt2.skipped, [{ name: 'h.0.attn.bias', reason: 'a causal mask, not a weight' }]);
  });
});

describe('files as the transformers library writes them (fixtures/names)', () => {
  const architectures = JSON.parse(readFileSync('test/fixtures/names/names.json', 'utf8')) as Record<
    string,
    [name: string, shape: number[], dtype: string][]
  >;
  const families: Readonly<Record<string, string>> = {
    Llama: 'LLaMA',
    Mistral: 'LLaMA',
    Qwen2: 'Qwen',
    Qwen3: 'Qwen',
    Gemma2: 'Gemma',
    Gemma3: 'Gemma',
    Mixtral: 'Mixtral',
    Qwen2Moe: 'Qwen MoE',
    Qwen3Moe: 'Qwen MoE',
    Llama4: 'Llama 4',
    Phi: 'Phi',
    Phi3: 'Phi-3',
    GPT2: 'GPT-2',
    GPTNeoX: 'GPT-NeoX',
    Bloom: 'BLOOM / Falcon',
    Falcon: 'BLOOM / Falcon',
    OPT: 'OPT',
    Bert: 'BERT',
    Roberta: 'BERT',
    DistilBert: 'DistilBERT',
    T5: 'T5',
    FlanT5: 'T5',
    Bart: 'BART',
    ViT: 'ViT',
    CLIP: 'CLIP',
  };

  it('are all assigned to a family', () => assert.deepEqual(Object.keys(architectures), Object.keys(families)));

  for (const [architecture, entries] of Object.entries(architectures)) {
    const found = anatomy(entries.map(([name, shape, dtype]) => tensor(name, shape, { dtype })));

    it(`${architecture}: ${families[architecture]}, two layers, each matrix with its role and a place of its own`, () => {
      assert.equal(found.family, families[architecture]);
      assert.equal(found.layers, 2);
      const inside = found.matrices.filter(({ layer }) => layer !== null);
      assert.deepEqual(
        inside.filter(({ role }) => role === 'other').map(({ name }) => name),
        [],
      );
      assert.equal(
        new Set(found.matrices.map((matrix) => `${row(matrix)} ${matrix.module}`)).size,
        found.matrices.length,
      );
      const modules = (index: number) =>
        inside
          .filter(({ layer }) => layer === index)
          .map(({ stack, module }) => [stack, module].join(' '))
          .sort();
      // The first block of T5 holds the position biases of all.
      assert.deepEqual(
        modules(0).filter((module) => !module.endsWith('relative_attention_bias')),
        modules(1),
      );
      assert.ok(modules(0).length >= 4);
    });

    it(`${architecture}: has inputs as wide as the model wherever a matrix reads the residual stream`, () => {
      for (const { role, shape, name } of found.matrices)
        if (['query', 'qkv', 'gate', 'up', 'gateUp', 'router', 'head'].includes(role)) assert.equal(shape[1], 16, name);
    });
  }
});

describe('the anatomy of real checkpoints', () => {
  const root = resolve(process.env.RANKSCOPE_CHECKPOINTS ?? '../shared/checkpoints');
  const expected: [string, string | null, number, number][] = [
    ['stories260K-hf/model.safetensors', 'LLaMA', 5, 36],
    ['rwkv-4v0-660K-untrained/rwkv-4v0-660K.safetensors', 'RWKV', 4, 30],
    ['lora-gpt2-tigrinya/adapter_model.safetensors', 'GPT-2', 12, 72],
  ];
  for (const [file, family, layers, count] of expected)
    it(`${file}: ${family}, ${layers} layers, ${count} matrices`, async function () {
      if (!existsSync(join(root, file))) {
        this.test!.title += ` (missing: ${join(root, file)})`;
        this.skip();
      }
      const checkpoint = await openCheckpoint(join(root, file));
      const found = anatomy(checkpoint.tensors);
      await checkpoint.close();
      assert.deepEqual([found.family, found.layers, found.matrices.length], [family, layers, count]);
      assert.equal(found.matrices.length + found.skipped.length, checkpoint.tensors.length);
    });

  it('takes about ten times as long for ten times the names, not a hundred times', function () {
    this.timeout(180_000);
    const names = (count: number) =>
      Array.from({ length: count }, (_, k) =>
        tensor(`model.layers.${k % 100}.mlp.experts.${Math.floor(k / 100)}.up_proj.weight`, [64, 64]),
      );
    // Processor time, and the best of several: how busy the machine is must not count.
    const best = (of: ReturnType<typeof names>) =>
      Math.min(
        ...Array.from({ length: 6 }, () => {
          const begin = process.cpuUsage();
          anatomy(of);
          return process.cpuUsage(begin).user / 1000;
        }),
      );
    const [some, many] = [best(names(8_000)), best(names(80_000))];
    assert.ok(many < 40 * some, `${some} ms and ${many} ms`);
  });
});
