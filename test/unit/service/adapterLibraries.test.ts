import assert from 'node:assert/strict';
import { seededRandom } from '../../../src/base/random.ts';
import { elementCount } from '../../../src/base/shape.ts';
import { createService } from '../../../src/service/service.ts';
import { testFolder } from '../formats/folder.ts';
import { f32s, ggufBytes, text } from '../formats/gguf/ggufBytes.ts';
import { f32File, type Values } from '../formats/safetensorsBytes.ts';

const [OUT, IN, RANK, SCALE] = [6, 5, 2, 3];
type Shape = readonly number[];

/** B (m x r) and A (r x n) with the same numbers in every test. */
function factors(seed: number, [m, r, n]: readonly [number, number, number] = [OUT, RANK, IN]) {
  const random = seededRandom(seed);
  const of = (...shape: number[]): Values => ({
    shape,
    values: Array.from({ length: elementCount(shape) }, () => Math.fround(random.normal())),
  });
  return { up: of(m, r), down: of(r, n) };
}

const transposed = ({ shape: [rows, cols], values }: Values): Values => ({
  shape: [cols!, rows!],
  values: Array.from({ length: values.length }, (_, k) => values[(k % rows!) * cols! + Math.floor(k / rows!)]!),
});
const shaped = ({ values }: Values, shape: Shape): Values => ({ shape, values });
/** One after the other along a new first axis. */
const stacked = (...parts: readonly Values[]): Values => ({
  shape: [parts.length, ...parts[0]!.shape],
  values: parts.flatMap(({ values }) => [...values]),
});

/** ||scale B A||_F, entry by entry in f64. */
function norm({ up, down }: ReturnType<typeof factors>, scale: number): number {
  const [m, r] = up.shape as [number, number];
  const n = down.shape[1]!;
  let squares = 0;
  for (let i = 0; i < m; i++)
    for (let j = 0; j < n; j++) {
      let sum = 0;
      for (let k = 0; k < r; k++) sum += up.values[i * r + k]! * down.values[k * n + j]!;
      squares += (scale * sum) ** 2;
    }
  return Math.sqrt(squares);
}

const { up, down } = factors(1);
const ALPHA = SCALE * RANK;
const CONFIG = { r: RANK, lora_alpha: ALPHA, peft_type: 'LORA' };
const L = 'model.layers.0.self_attn.q_proj';

interface Library {
  readonly tensors: Readonly<Record<string, Values>>;
  readonly config?: object;
  readonly metadata?: Record<string, string>;
  readonly naming: string;
  readonly target?: string;
  readonly scale?: number;
}

/** The same update as each library stores it. */
const LIBRARIES: Readonly<Record<string, Library>> = {
  PEFT: {
    tensors: { [`base_model.model.${L}.lora_A.weight`]: down, [`base_model.model.${L}.lora_B.weight`]: up },
    config: CONFIG,
    naming: 'peft',
  },
  'PEFT in a sharded trainer': {
    tensors: {
      [`module.base_model.model.${L}.lora_A.default.weight`]: down,
      [`module.base_model.model.${L}.lora_B.default.weight`]: up,
    },
    config: CONFIG,
    naming: 'peft',
  },
  'PEFT with KaSA': {
    tensors: {
      [`base_model.model.${L}.lora_A.weight`]: down,
      [`base_model.model.${L}.lora_B.weight`]: up,
      [`base_model.model.${L}.lora_diag`]: { shape: [RANK], values: Array<number>(RANK).fill(1) },
    },
    config: { ...CONFIG, kasa_config: {} },
    naming: 'peft',
  },
  'mlx-lm': {
    tensors: { [`${L}.lora_a`]: transposed(down), [`${L}.lora_b`]: transposed(up) },
    config: { fine_tune_type: 'lora', lora_parameters: { rank: RANK, scale: SCALE }, model: 'some/model' },
    naming: 'mlx-lm',
  },
  'mlx-lm before its parameters had a place of their own': {
    tensors: { [`${L}.lora_a`]: transposed(down), [`${L}.lora_b`]: transposed(up) },
    config: { rank: RANK, scale: SCALE },
    naming: 'mlx-lm',
  },
  'mlx-vlm': {
    tensors: { [`${L}.A`]: transposed(down), [`${L}.B`]: transposed(up) },
    config: { rank: RANK, alpha: SCALE, dropout: 0 },
    naming: 'mlx-vlm',
  },
  torchtune: {
    tensors: { [`${L}.lora_a.weight`]: down, [`${L}.lora_b.weight`]: up },
    config: CONFIG,
    naming: 'torchtune',
  },
  'torchtune without a configuration': {
    tensors: { [`adapter.${L}.lora_a.weight`]: down, [`adapter.${L}.lora_b.weight`]: up },
    naming: 'torchtune',
    scale: 1,
  },
  AdapterHub: {
    tensors: { [`${L}.loras.sst.lora_A`]: down, [`${L}.loras.sst.lora_B`]: up },
    config: { config: { architecture: 'lora', alpha: ALPHA, r: RANK, composition_mode: 'add' }, name: 'sst' },
    naming: 'adapterhub',
    target: L,
  },
  XLabs: {
    tensors: {
      'double_blocks.0.processor.qkv_lora2.down.weight': down,
      'double_blocks.0.processor.qkv_lora2.up.weight': up,
    },
    naming: 'xlabs',
    target: 'double_blocks.0.txt_attn.qkv',
    scale: 1,
  },
  'Control-LoRA': {
    tensors: {
      lora_controlnet: { shape: [0], values: [] },
      'input_blocks.1.0.to_q.up': up,
      'input_blocks.1.0.to_q.down': down,
    },
    naming: 'control-lora',
    target: 'input_blocks.1.0.to_q',
    scale: 1,
  },
  NeMo: {
    tensors: {
      'layers.0.self_attention.adapter_layer.lora_kqv_adapter.linear_in.weight': down,
      'layers.0.self_attention.adapter_layer.lora_kqv_adapter.linear_out.weight': up,
    },
    naming: 'nemo',
    target: 'layers.0.self_attention.linear_qkv',
    scale: 1,
  },
  'Megatron Bridge': {
    tensors: {
      'decoder.layers.0.mlp.linear_fc1.adapter.linear_in.weight': down,
      'decoder.layers.0.mlp.linear_fc1.adapter.linear_out.weight': up,
    },
    naming: 'nemo',
    target: 'decoder.layers.0.mlp.linear_fc1',
    scale: 1,
  },
  'ComfyUI with an alpha': {
    tensors: {
      [`diffusion_model.${L}.lora_A.weight`]: down,
      [`diffusion_model.${L}.lora_B.weight`]: up,
      [`diffusion_model.${L}.alpha`]: { shape: [], values: [ALPHA] },
    },
    naming: 'peft',
    target: `diffusion_model.${L}`,
  },
};

describe('the adapters of other libraries', function () {
  this.timeout(60_000);
  const folder = testFolder();
  const service = createService({});
  after(() => service.close());
  const analysisOf = (path: string) => service.analyze({ path, values: true, engine: 'cpu', cache: false });

  function written(name: string, { tensors, config, metadata }: Library): string {
    if (config) folder.write(`${name}/adapter_config.json`, JSON.stringify(config));
    return folder.write(`${name}/adapter.safetensors`, f32File(tensors, metadata));
  }

  for (const [name, library] of Object.entries(LIBRARIES))
    it(`add scale B A to the layer in a file of ${name}`, async () => {
      const { naming, target = L, scale = SCALE } = library;
      const path = written('library', library);
      const { matrices } = await analysisOf(path);
      const [matrix] = matrices;
      assert.deepEqual([matrices.length, matrix?.name, matrix?.shape], [1, target, [OUT, IN]]);
      assert.deepEqual([matrix?.adapter?.scale, matrix?.adapter?.rank], [scale, RANK]);
      const own = norm({ up, down }, scale);
      assert.ok(Math.abs(matrix!.frobeniusNorm - own) < 1e-5 * own);
      // As PEFT's file, up to the name of the layer.
      const peft = folder.write(
        'peft/adapter_model.safetensors',
        f32File({ [`${target}.lora_A.weight`]: down, [`${target}.lora_B.weight`]: up }),
      );
      const { layers, adapters } = await service.compare({ paths: [path, peft] });
      assert.ok(Math.abs(layers[0]!.pairs[0]!.cosine! - 1) < 1e-12);
      assert.equal(adapters[0]?.naming, naming);
    });

  it('say so where no configuration has the scale', async () => {
    const { warnings } = await service.open({
      path: written('alone', LIBRARIES['torchtune without a configuration']!),
    });
    assert.match(warnings.join(), /no adapter_config.json with the scale was found beside the file/);
    const { warnings: none } = await service.open({ path: written('mlx', LIBRARIES['mlx-lm']!) });
    assert.deepEqual(none, []);
    const old = { ...LIBRARIES['mlx-lm']!, config: { lora_parameters: { rank: RANK, alpha: 16, scale: SCALE } } };
    const { warnings: alpha } = await service.open({ path: written('old', old) });
    assert.match(alpha.join(), /states an alpha of 16, which mlx-lm ignores today/);
  });

  it('know DoRA by the magnitudes of mlx-lm and torchtune', async () => {
    const magnitude = { shape: [OUT], values: Array<number>(OUT).fill(1) };
    for (const [library, word] of [
      ['mlx-lm', 'm'],
      ['torchtune', 'magnitude'],
    ] as const) {
      const { tensors, ...rest } = LIBRARIES[library]!;
      const path = written(library, { ...rest, tensors: { ...tensors, [`${L}.${word}`]: magnitude } });
      assert.deepEqual(
        (await analysisOf(path)).matrices.map(({ adapter }) => adapter?.dora),
        [true],
      );
    }
  });

  it('know DoRA by the magnitudes of an adapter that torchtune exported for PEFT', async () => {
    const module = `base_model.model.${L}`;
    const path = written('exported', {
      tensors: {
        [`${module}.lora_A.weight`]: down,
        [`${module}.lora_B.weight`]: up,
        [`${module}.magnitude`]: { shape: [OUT], values: Array<number>(OUT).fill(1) },
      },
      config: { peft_type: 'LORA', r: RANK, lora_alpha: ALPHA, use_dora: true },
      naming: 'peft',
    });
    const { matrices, skipped } = await analysisOf(path);
    assert.deepEqual([matrices.map(({ adapter }) => adapter?.dora), skipped], [[true], []]);
  });

  it('adapt the table of an embedding in its own orientation', async () => {
    const table = factors(2, [9, RANK, 4]);
    const path = written('table', {
      tensors: { 'model.embed_tokens.lora_a': table.up, 'model.embed_tokens.lora_b': table.down },
      config: { lora_parameters: { scale: SCALE } },
      naming: 'mlx-lm',
    });
    const [matrix] = (await analysisOf(path)).matrices;
    assert.deepEqual(matrix?.shape, [9, 4]);
    assert.ok(Math.abs(matrix!.frobeniusNorm - norm(table, SCALE)) < 1e-4);
  });

  const EXPERTS = [factors(3), factors(4), factors(5)];
  const expertNorms = (scale: number) => EXPERTS.map((each) => norm(each, scale));

  async function sameExperts(path: string, name: string, scale: number): Promise<void> {
    const { matrices } = await analysisOf(path);
    assert.deepEqual(
      matrices.map((matrix) => [matrix.name, matrix.shape, matrix.adapter?.rank, matrix.adapter?.scale]),
      EXPERTS.map((_, k) => [`${name}[${k}]`, [OUT, IN], RANK, scale]),
    );
    for (const [k, expected] of expertNorms(scale).entries())
      assert.ok(Math.abs(matrices[k]!.frobeniusNorm - expected) < 1e-5 * expected);
    const { layers } = await service.compare({ paths: [path, path] });
    assert.deepEqual(
      layers.map((layer) => layer.name),
      EXPERTS.map((_, k) => `${name}[${k}]`),
    );
    for (const { pairs } of layers) assert.ok(Math.abs(pairs[0]!.cosine! - 1) < 1e-12);
  }

  it('have one update for each expert in the stacks of mlx-lm', async () => {
    const path = written('switch', {
      tensors: {
        'model.layers.0.mlp.switch_mlp.up_proj.lora_a': stacked(...EXPERTS.map((each) => each.down)),
        'model.layers.0.mlp.switch_mlp.up_proj.lora_b': stacked(...EXPERTS.map((each) => each.up)),
      },
      config: { lora_parameters: { scale: SCALE } },
      naming: 'mlx-lm',
    });
    await sameExperts(path, 'model.layers.0.mlp.switch_mlp.up_proj', SCALE);
  });

  /** A (experts r x in), an expert after the other; B (out x r experts), the expert changing fastest. */
  function peftExperts(from: readonly ReturnType<typeof factors>[]) {
    const [m, r] = from[0]!.up.shape as [number, number];
    const n = from[0]!.down.shape[1]!;
    const e = from.length;
    return {
      lora_A: { shape: [e * r, n], values: from.flatMap((each) => [...each.down.values]) },
      lora_B: {
        shape: [m, r * e],
        values: Array.from({ length: m * r * e }, (_, at) => {
          const [i, k, expert] = [Math.floor(at / (r * e)), Math.floor(at / e) % r, at % e];
          return from[expert]!.up.values[i * r + k]!;
        }),
      },
    };
  }
  const named = (module: string, parts: ReturnType<typeof peftExperts>) =>
    Object.fromEntries(
      Object.entries(parts).map(([word, values]) => [`base_model.model.${module}.${word}.weight`, values]),
    );
  const M = 'model.layers.0.mlp.experts';

  it("have one update for each expert in PEFT's parameters, with the rank of the pattern", async () => {
    const config = {
      ...CONFIG,
      r: 8,
      target_parameters: ['mlp.experts.down_proj'],
      rank_pattern: { 'experts\\.(?!gate)\\w+': RANK },
    };
    const path = written('parameters', { tensors: named(M, peftExperts(EXPERTS)), config, naming: 'peft' });
    await sameExperts(path, `${M}.down_proj`, ALPHA / RANK);
  });

  it('tell two parameters of the same experts apart', async () => {
    const gate = [factors(6, [8, RANK, 3]), factors(7, [8, RANK, 3])];
    const out = [factors(8, [3, 1, 4]), factors(9, [3, 1, 4])];
    const config = {
      ...CONFIG,
      target_parameters: ['experts.down_proj', 'experts.gate_up_proj'],
      rank_pattern: { down_proj: 1 },
      alpha_pattern: { gate_up_proj: 10 },
    };
    const tensors = { ...named(M, peftExperts(out)), ...named(`${M}.base_layer`, peftExperts(gate)) };
    const { matrices } = await analysisOf(written('two', { tensors, config, naming: 'peft' }));
    const found = new Map(matrices.map((matrix) => [matrix.name, matrix]));
    for (const [leaf, all, scale] of [
      ['gate_up_proj', gate, 10 / RANK],
      ['down_proj', out, ALPHA],
    ] as const)
      for (const [k, each] of all.entries()) {
        const matrix = found.get(`${M}.${leaf}[${k}]`)!;
        assert.equal(matrix.adapter?.scale, scale);
        assert.ok(Math.abs(matrix.frobeniusNorm - norm(each, scale)) < 1e-4 * matrix.frobeniusNorm);
      }
    assert.equal(matrices.length, 4);
  });

  it('are refused where the rank of the experts does not fit or is not stated', async () => {
    const tensors = named(M, peftExperts(EXPERTS));
    const config = { ...CONFIG, target_parameters: ['experts.down_proj'], r: 4 };
    const { skipped } = await analysisOf(written('wrong', { tensors, config, naming: 'peft' }));
    assert.match(skipped[0]!.reason, /its factors have rank 6, which is not a multiple of the rank 4/);
    const { skipped: alone } = await analysisOf(written('alone', { tensors, naming: 'peft' }));
    assert.match(alone[0]!.reason, /it may hold the factors of several experts/);
    await assert.rejects(
      service.compare({ paths: [written('alone', { tensors, naming: 'peft' }), written('mlx', LIBRARIES['mlx-lm']!)] }),
      /its adapter cannot be compared: model.layers.0.mlp.experts: it may hold/,
    );
  });

  it('of llama.cpp have alpha / r, one update for each expert, and the token embedding the other way round', async () => {
    const table = factors(2, [9, RANK, 4]);
    const data = ({ values }: Values) => f32s(...values);
    // GGUF names the sizes from the fastest to the slowest.
    const tensorOf = (name: string, values: Values) => ({
      name,
      dimensions: [...values.shape].reverse(),
      type: 0,
      data: data(values),
    });
    const alpha = { key: 'adapter.lora.alpha', value: f32s(ALPHA) };
    const file = (metadata: readonly (readonly [string, number, Uint8Array])[]) =>
      ggufBytes({
        metadata: [['general.architecture', 8, text('llama')], ['general.type', 8, text('adapter')], ...metadata],
        tensors: [
          tensorOf('blk.0.attn_q.weight.lora_a', down),
          tensorOf('blk.0.attn_q.weight.lora_b', up),
          tensorOf('blk.0.ffn_up_exps.weight.lora_a', stacked(...EXPERTS.map((each) => each.down))),
          tensorOf('blk.0.ffn_up_exps.weight.lora_b', stacked(...EXPERTS.map((each) => each.up))),
          tensorOf('blk.1.ffn_up_exps.weight.lora_a', shaped(EXPERTS[0]!.down, [1, RANK, IN])),
          tensorOf('blk.1.ffn_up_exps.weight.lora_b', stacked(...EXPERTS.map((each) => each.up))),
          tensorOf('token_embd.weight.lora_a', table.up),
          tensorOf('token_embd.weight.lora_b', transposed(table.down)),
        ],
      });
    const path = folder.write('lora.gguf', file([[alpha.key, 6, alpha.value]]));
    const found = new Map((await analysisOf(path)).matrices.map((matrix) => [matrix.name, matrix]));
    const shared = EXPERTS.map((each) => ({ up: each.up, down: EXPERTS[0]!.down }));
    const expected = new Map([
      ['blk.0.attn_q', norm({ up, down }, SCALE)],
      ...EXPERTS.map((each, k) => [`blk.0.ffn_up_exps[${k}]`, norm(each, SCALE)] as const),
      ...shared.map((each, k) => [`blk.1.ffn_up_exps[${k}]`, norm(each, SCALE)] as const),
      ['token_embd', norm(table, SCALE)],
    ]);
    assert.deepEqual([...found.keys()].sort(), [...expected.keys()].sort());
    for (const [name, value] of expected)
      assert.ok(Math.abs(found.get(name)!.frobeniusNorm - value) < 1e-5 * value, name);
    assert.deepEqual(found.get('token_embd')?.shape, [9, 4]);
    // llama.cpp takes a missing alpha, or one of 0, for a scale of 1.
    for (const metadata of [[], [[alpha.key, 6, f32s(0)] as const]]) {
      const other = folder.write(`other${metadata.length}.gguf`, file(metadata));
      assert.equal((await analysisOf(other)).matrices[0]?.adapter?.scale, 1);
    }
  });

  it('show whole weights beside the factors as weights, and say how many', async () => {
    const { tensors, ...rest } = LIBRARIES['Control-LoRA']!;
    const hint = { shape: [4, 3, 3, 3], values: Array.from({ length: 108 }, (_, k) => k) };
    const path = written('control', { ...rest, tensors: { ...tensors, 'input_hint_block.0.weight': hint } });
    const { matrices } = await analysisOf(path);
    assert.deepEqual(
      matrices.map(({ name, adapter }) => [name, adapter !== undefined]),
      [
        ['input_blocks.1.0.to_q', true],
        ['input_hint_block.0.weight', false],
      ],
    );
    const { warnings } = await service.open({ path });
    assert.match(warnings.join(), /1 whole weight beside the updates of the adapter: input_hint_block.0.weight/);
  });

  it('do not take `.up` and `.down` without the marker, or `.A` among other names, for factors', async () => {
    for (const tensors of [
      { 'x.up': up, 'x.down': down },
      { 'x.A': up, 'x.B': down, 'x.weight': up },
    ]) {
      const { matrices } = await analysisOf(folder.write(`${Object.keys(tensors)}.safetensors`, f32File(tensors)));
      assert.ok(matrices.length > 0 && matrices.every(({ adapter }) => adapter === undefined));
    }
  });

  it("include LyCORIS's full updates; its GLoRA, IA3 and OFT are named", async () => {
    const whole = { shape: [4, 3], values: Array.from({ length: 12 }, (_, k) => k) };
    const path = folder.write(
      'lycoris.safetensors',
      f32File({
        'lora_unet_a.diff': whole,
        'lora_unet_a.diff_b': { shape: [4], values: [1, 2, 3, 4] },
        ...Object.fromEntries(['a1', 'a2', 'b1', 'b2'].map((part) => [`lora_unet_b.${part}.weight`, whole])),
        'lora_unet_c.weight': { shape: [1, 4], values: [1, 2, 3, 4] },
        'lora_unet_c.on_input': { shape: [1], values: [1] },
        'lora_unet_d.oft_blocks': { shape: [2, 2, 2], values: Array<number>(8).fill(1) },
        'lora_unet_d.rescale': { shape: [4, 1], values: [1, 2, 3, 4] },
      }),
    );
    const { matrices, skipped } = await analysisOf(path);
    assert.deepEqual(
      matrices.map(({ name, adapter, shape }) => [name, adapter?.kind, adapter?.scale, shape]),
      [['unet_a', 'full', 1, [4, 3]]],
    );
    assert.ok(Math.abs(matrices[0]!.frobeniusNorm - Math.hypot(...whole.values)) < 1e-4);
    const named = skipped.filter(({ reason }) => reason.startsWith('it belongs'));
    const reasons = new Map(named.map(({ name, reason }) => [name.split('.')[0], reason]));
    for (const [name, kind] of Object.entries({ b: 'GLoRA', c: 'IA3', d: 'OFT' }))
      assert.match(reasons.get(`lora_unet_${name}`)!, new RegExp(`it belongs to an? ${kind} adapter`));
  });

  it('of packed integers are refused with what to do', async () => {
    const packed = Buffer.alloc(4 * RANK * IN);
    const header = {
      [`${L}.lora_a`]: { dtype: 'U32', shape: [RANK, IN], data_offsets: [0, packed.length] },
      [`${L}.lora_b`]: { dtype: 'U32', shape: [IN, RANK], data_offsets: [packed.length, 2 * packed.length] },
    };
    const json = Buffer.from(JSON.stringify(header));
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(json.length));
    const path = folder.write('packed.safetensors', Buffer.concat([length, json, packed, packed]));
    const { matrices, skipped } = await analysisOf(path);
    assert.deepEqual(matrices, []);
    assert.match(skipped[0]!.reason, /stored as integers \(U32\).*save it unquantized/);
  });
});
