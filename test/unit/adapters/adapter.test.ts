import assert from 'node:assert/strict';
import { adapterConfigurations } from '../../../src/adapters/configuration/configuration.ts';
import { adapterScale } from '../../../src/adapters/configuration/scale.ts';
import { findAdapterPairs } from '../../../src/adapters/pairs.ts';
import { tensorsOf } from '../../../src/adapters/parts.ts';
import { checkpointPath } from '../formats/checkpointFiles.ts';
import { testFolder } from '../formats/folder.ts';
import { withCheckpoint } from '../formats/readAll.ts';
import { f32File } from '../formats/safetensorsBytes.ts';
import { tensor } from '../model/tensors.ts';

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
  // The table is A^T B^T: its left factor is A.
  'peft of an embedding': ['base_model.model.wte.lora_embedding_B', 'base_model.model.wte.lora_embedding_A', 'wte'],
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
      const found = findAdapterPairs([
        tensor(up, naming.endsWith('embedding') ? [2, 6] : [6, 2]),
        tensor('other.weight', [3, 3]),
        tensor(down, naming.endsWith('embedding') ? [5, 2] : [2, 5]),
      ]);
      assert.equal(
        found?.naming,
        naming.split(' ')[0] === 'diffusers' && naming.includes('peft') ? 'peft' : naming.split(' ')[0],
      );
      assert.deepEqual(
        found?.pairs.map((pair) => [pair.target, ...tensorsOf(pair.stored).map(({ name }) => name), pair.rank]),
        [[target, up, down, 2]],
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

  it('are not seen in a model', () => {
    for (const name of ['model.layers.0.up.weight', 'x.alpha', 'x.dora_scale', 'exploration.weight'])
      assert.equal(findAdapterPairs([tensor(name, [2, 5]), tensor('down.weight', [5, 2])]), undefined, name);
  });

  it('that do not fit together are refused with what is wrong', () => {
    const refusals: readonly (readonly [RegExp, Record<string, readonly number[]>])[] = [
      [/half of the pair is missing: there is no B/, { 'x.lora_A.weight': [2, 5] }],
      [/half of the pair is missing: there is no A/, { 'x.lora_B.weight': [5, 2] }],
      [
        /ranks of its factors differ: B \(up\) is 6 x 3, A \(down\) 2 x 5/,
        { 'x.lora_A.weight': [2, 5], 'x.lora_B.weight': [6, 3] },
      ],
      [/its A \(down\) is not a matrix: 5/, { 'x.lora_A.weight': [5], 'x.lora_B.weight': [6, 3] }],
      [
        /its B \(up\) is a kernel \(4 x 2 x 3 x 3\)/,
        { 'x.lora_down.weight': [2, 5, 1, 1], 'x.lora_up.weight': [4, 2, 3, 3] },
      ],
      [
        /the core 2 x 3 x 3 x 3/,
        { 'x.lora_down.weight': [2, 5, 1, 1], 'x.lora_mid.weight': [2, 3, 3, 3], 'x.lora_up.weight': [4, 2, 1, 1] },
      ],
      [/there is no hada_w2_b/, { 'x.hada_w1_a': [4, 2], 'x.hada_w1_b': [2, 5], 'x.hada_w2_a': [4, 2] }],
      [
        /different shapes: 4 x 5 and 4 x 6/,
        { 'x.hada_w1_a': [4, 2], 'x.hada_w1_b': [2, 5], 'x.hada_w2_a': [4, 2], 'x.hada_w2_b': [2, 6] },
      ],
      [/there is no lokr_w2_a/, { 'x.lokr_w1': [4, 2] }],
      [/its lokr_w1 is not a matrix: 4/, { 'x.lokr_w1': [4], 'x.lokr_w2': [2, 2] }],
      [/its E is 3 x 1 for rank 2/, { 'x.lora_A': [2, 5], 'x.lora_B': [4, 2], 'x.lora_E': [3, 1] }],
    ];
    for (const [reason, shapes] of refusals) {
      const found = findAdapterPairs(Object.entries(shapes).map(([name, shape]) => tensor(name, shape)));
      assert.deepEqual(found?.pairs, []);
      assert.match(found.refused[0]!.reason, reason);
      assert.ok(found.refused[0]!.target.startsWith('x'));
    }
  });

  it('of LyCORIS and PEFT know the shapes and ranks of Hadamard and Kronecker products, with and without a core', () => {
    const kinds: readonly (readonly [
      string,
      readonly number[],
      number,
      number | undefined,
      Record<string, readonly number[]>,
    ])[] = [
      ['loha', [8, 9], 6, 2, { hada_w1_a: [8, 2], hada_w1_b: [2, 9], hada_w2_a: [8, 3], hada_w2_b: [3, 9] }],
      [
        'loha',
        [8, 45],
        4,
        2,
        {
          hada_t1: [2, 2, 3, 3],
          hada_w1_a: [2, 8],
          hada_w1_b: [2, 5],
          hada_t2: [2, 2, 3, 3],
          hada_w2_a: [2, 8],
          hada_w2_b: [2, 5],
        },
      ],
      ['lokr', [12, 10], 4, undefined, { lokr_w1: [3, 2], lokr_w2: [4, 5] }],
      ['lokr', [12, 10], 2, 1, { lokr_w1: [3, 2], lokr_w2_a: [4, 1], lokr_w2_b: [1, 5] }],
      ['lokr', [12, 90], 4, 2, { lokr_w1: [3, 2], lokr_t2: [2, 2, 3, 3], lokr_w2_a: [2, 4], lokr_w2_b: [2, 5] }],
      [
        'lora',
        [8, 45],
        2,
        2,
        { 'lora_up.weight': [8, 2, 1, 1], 'lora_mid.weight': [2, 2, 3, 3], 'lora_down.weight': [2, 5, 1, 1] },
      ],
    ];
    for (const [kind, shape, rank, factorRank, parts] of kinds)
      for (const before of [
        'lora_unet_q.',
        'lycoris_unet_q.',
        ...(kind === 'lora' ? [] : ['base_model.model.unet_q.']),
      ]) {
        const found = findAdapterPairs(Object.entries(parts).map(([name, sizes]) => tensor(before + name, sizes)));
        const [pair, ...others] = found!.pairs;
        assert.deepEqual(
          [pair?.stored.kind, pair?.target, pair?.shape, others, found!.refused],
          [kind, 'unet_q', shape, [], []],
        );
        assert.equal(pair?.factorRank, factorRank);
        assert.equal(found?.naming, before.startsWith('base') ? 'peft' : 'kohya');
        if (kind !== 'lokr' || factorRank !== undefined) assert.equal(pair?.rank, rank);
      }
  });

  it('that share a file are told apart by their names; the only one needs none', () => {
    const named = (...names: readonly string[]) =>
      findAdapterPairs(
        names.flatMap((name) => [tensor(`x.lora_A.${name}.weight`, [2, 5]), tensor(`x.lora_B.${name}.weight`, [6, 2])]),
      )!.pairs.map(({ target, adapter }) => [target, adapter]);
    assert.deepEqual(named('default'), [['x', undefined]]);
    assert.deepEqual(named('de', 'default'), [
      ['x', 'de'],
      ['x', 'default'],
    ]);
  });

  it('have no factor in a bias', () => {
    const names = ['x.lora_A.weight', 'x.lora_B.weight', 'x.lora_B.bias'];
    const found = findAdapterPairs(names.map((name) => tensor(name, [2, 2])))!;
    assert.deepEqual([found.pairs.length, found.refused.length, found.pairs[0]!.adapter], [1, 0, undefined]);
  });

  const pairOf = (target: string, factors: Record<string, readonly number[]>) =>
    findAdapterPairs(Object.entries(factors).map(([name, shape]) => tensor(`${target}.${name}`, shape)))!.pairs[0]!;
  const lora = (target: string) => pairOf(target, { 'lora_A.weight': [16, 20], 'lora_B.weight': [20, 16] });

  async function scaleOf(
    json: object,
    pair: ReturnType<typeof lora>,
    ownAlpha?: number,
    metadata?: Record<string, string>,
  ) {
    const path = folder.write('adapter_model.safetensors', f32File({ w: { shape: [1], values: [1] } }, metadata));
    folder.write('adapter_config.json', JSON.stringify(json));
    return withCheckpoint(path, async (checkpoint) => {
      const naming = metadata?.ss_network_alpha === undefined ? 'peft' : 'kohya';
      return adapterScale(pair, (await adapterConfigurations(checkpoint, { naming })).all, ownAlpha);
    });
  }

  it('have the scale of their configuration', async () => {
    assert.equal(await scaleOf({ r: 16, lora_alpha: 32 }, lora('a.q_proj')), 2);
    assert.equal(await scaleOf({ r: 16, lora_alpha: 32, use_rslora: true }, lora('a.q_proj')), 8);
    const pattern = { r: 8, lora_alpha: 32, alpha_pattern: { 'a.k_proj': 4, q_proj: 8, '^a.v_proj': 1, 'o_.*': 64 } };
    assert.equal(await scaleOf(pattern, lora('a.q_proj')), 0.5);
    assert.equal(await scaleOf(pattern, lora('b.q_projection')), 2);
    assert.equal(await scaleOf(pattern, lora('a.v_proj')), 1 / 16);
    assert.equal(await scaleOf(pattern, lora('a.o_proj')), 4);
    assert.equal(await scaleOf({ r: 8, lora_alpha: 32 }, lora('x'), 4), 0.25);
    assert.equal(await scaleOf({}, lora('x')), 1);
  });

  it('of LoHa, LoKr and AdaLoRA divide by what their libraries divide by', async () => {
    const loha = pairOf('x', { hada_w1_a: [8, 2], hada_w1_b: [2, 9], hada_w2_a: [8, 2], hada_w2_b: [2, 9] });
    assert.equal(await scaleOf({ r: 2, alpha: 8 }, loha), 4);
    const abba = { r: 2, alpha: 8, init_weights: 'abba', use_khatri_rao: 'auto' };
    assert.equal(await scaleOf(abba, loha), 32);
    assert.equal(await scaleOf({ ...abba, init_weights: true }, loha), 4);
    const whole = pairOf('x', { lokr_w1: [3, 2], lokr_w2: [4, 5] });
    assert.equal(await scaleOf({ r: 8, alpha: 4, rank_pattern: { x: 2 } }, whole), 2);
    assert.equal(await scaleOf({ r: 8, alpha: 4 }, whole), 0.5);
    assert.equal(await scaleOf({}, whole, 4), 1);
    const half = pairOf('x', { lokr_w1: [3, 2], lokr_w2_a: [4, 2], lokr_w2_b: [2, 5] });
    assert.equal(await scaleOf({}, half, 4), 2);
    const ada = pairOf('x', { lora_A: [4, 5], lora_B: [5, 4], lora_E: [4, 1] });
    assert.equal(await scaleOf({ init_r: 12, r: 8, lora_alpha: 32 }, ada), 32 / (4 + 1e-5));
    assert.equal(await scaleOf({ r: 8, lora_alpha: 0 }, ada), 4 / (4 + 1e-5));
  });

  it('have the scale that diffusers writes into the file, for each part of the pipeline', async () => {
    const metadata = {
      lora_adapter_metadata: JSON.stringify({
        'unet.r': 16,
        'unet.lora_alpha': 8,
        'unet.alpha_pattern': { to_q: 4 },
        'text_encoder.lora_alpha': 32,
        'text_encoder_2.lora_alpha': 64,
        'text_encoder_2.use_rslora': true,
      }),
    };
    const of = (target: string) => scaleOf({}, lora(target), undefined, metadata);
    assert.deepEqual(
      await Promise.all(['unet.a.to_k', 'unet.a.to_q', 'text_encoder.k', 'text_encoder_2.k', 'transformer.k'].map(of)),
      [0.5, 0.25, 2, 16, 1],
    );
  });

  it("have the alpha of kohya's metadata where none stands beside a pair", async () => {
    const metadata = { ss_network_alpha: '8.0', ss_network_dim: '16', ss_network_args: '{"conv_alpha":"4"}' };
    assert.equal(await scaleOf({}, lora('x'), undefined, metadata), 0.5);
    assert.equal(await scaleOf({}, lora('x'), 16, metadata), 1);
    const kernel = pairOf('x', { 'lora_down.weight': [4, 5, 3, 3], 'lora_up.weight': [6, 4, 1, 1] });
    assert.equal(await scaleOf({}, kernel, undefined, metadata), 1);
    assert.equal(await scaleOf({}, lora('x'), undefined, { ss_network_alpha: 'None' }), 1);
  });

  it('ignore metadata in the file that would take too much memory', async () => {
    for (const hostile of [`{"x":[${'[],'.repeat(650_000)}0]}`, '['.repeat(1 << 20), `{"a":"${'x'.repeat(3 << 20)}"}`])
      assert.equal(await scaleOf({}, lora('unet.a'), undefined, { lora_adapter_metadata: hostile }), 1);
  });

  it('have no scale where a pattern that may concern them is no regular expression', async () => {
    const scale = await scaleOf({ r: 1, lora_alpha: 16, alpha_pattern: { '(a+': 1, x: 8 } }, lora('x'));
    assert.match(String(scale), /its scale is unknown: the pattern \(a\+ in adapter_config.json is not a usable/);
    assert.equal(await scaleOf({ r: 1, lora_alpha: 16, alpha_pattern: { x: 8, '(a+': 1 } }, lora('x')), 0.5);
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
