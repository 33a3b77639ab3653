import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { Ajv } from 'ajv';
import { createService } from '../../../src/service/service.ts';
import { testFolder } from '../formats/folder.ts';
import { f32File, type Values } from '../formats/safetensorsBytes.ts';

const of = (shape: readonly number[], ...values: number[]): Values => ({ shape, values });
const validSchema = new Ajv().compile(JSON.parse(readFileSync('media/schemas/analysis.schema.json', 'utf8')) as object);
const X = 'base_model.model.layers.0.q_proj';
const Y = 'base_model.model.layers.1.q_proj';

interface Method {
  readonly tensors: Readonly<Record<string, Values>>;
  readonly config: object;
  readonly kind: string;
  /** The update, worked out by hand, without its scale. */
  readonly rows: readonly (readonly number[])[];
  readonly scale?: number;
}

const soft = (one: number, other: number) => 1 / (1 + Math.exp(other - one));

const METHODS: Readonly<Record<string, Method>> = {
  // Two blocks side by side, each a circulant of its kernel, divided by the four inputs.
  C3A: {
    tensors: { [`${X}.c3a_kernel`]: of([1, 2, 2], 4, 8, 12, 16) },
    config: { peft_type: 'C3A', block_size: 2 },
    kind: 'c3a',
    rows: [
      [1, 2, 3, 4],
      [2, 1, 4, 3],
    ],
  },
  // The piece of A is vector 1 and 2 by the softmax of 3 and 1, that of B vector 0 and 1 by the softmax of 2 and 0.
  'VB-LoRA': {
    tensors: {
      'base_model.vblora_vector_bank': of([3, 2], 1, 0, 0, 1, 2, 0),
      [`${X}.vblora_logits_A`]: of([1, 1, 3], -9, 3, 1),
      [`${X}.vblora_logits_B`]: of([1, 1, 3], 2, 0, -9),
    },
    config: { peft_type: 'VBLORA', topk: 2 },
    kind: 'vblora',
    rows: [soft(2, 0), soft(0, 2)].map((up) => [2 * soft(1, 3) * up, soft(3, 1) * up]),
  },
  'VB-LoRA with the largest weights only': {
    tensors: {
      'base_model.vblora_vector_bank': of([3, 2], 1, 0, 0, 1, 2, 0),
      [`${X}.vblora_logits_A_topk_indices`]: of([1, 1, 2], 1, 2),
      [`${X}.vblora_logits_A_topk_weights`]: of([1, 1, 1], 0.75),
      [`${X}.vblora_logits_B_topk_indices`]: of([1, 1, 2], 0, 1),
      [`${X}.vblora_logits_B_topk_weights`]: of([1, 1, 1], 0.5),
    },
    config: { peft_type: 'VBLORA', topk: 2 },
    kind: 'vblora',
    rows: [
      [0.25, 0.375],
      [0.25, 0.375],
    ],
  },
  // Block [j, i] of 1 x 1 is B[j, i] A[i, 0, j].
  GraLoRA: {
    tensors: {
      [`${X}.gralora_A`]: of([2, 1, 2], 1, 2, 3, 4),
      [`${X}.gralora_B`]: of([2, 2, 1], 5, 6, 7, 8),
    },
    config: { peft_type: 'GRALORA', r: 2, alpha: 4 },
    kind: 'gralora',
    rows: [
      [5 * 1, 6 * 3],
      [7 * 2, 8 * 4],
    ],
    scale: 2,
  },
  // |A| = 5, |B| = 2: 10 / 10 of the product, with the columns times 1 and 2.
  DeLoRA: {
    tensors: {
      [`${X}.delora_A`]: of([1, 2], 3, 4),
      [`${X}.delora_B`]: of([2, 1], 2, 0),
      [`${X}.delora_lambda`]: of([1], 10),
      [`${X}.delora_w_norm`]: of([2], 1, 2),
    },
    config: { peft_type: 'DELORA', r: 1 },
    kind: 'delora',
    rows: [
      [6, 16],
      [0, 0],
    ],
  },
  VeRA: {
    tensors: {
      'base_model.vera_A': of([1, 2], 1, 2),
      'base_model.vera_B': of([3, 1], 1, 1, 1),
      [`${X}.vera_lambda_b`]: of([2], 1, 3),
      [`${X}.vera_lambda_d`]: of([1], 2),
    },
    config: { peft_type: 'VERA', r: 1 },
    kind: 'vera',
    rows: [
      [2, 4],
      [6, 12],
    ],
  },
  PVeRA: {
    tensors: {
      'base_model.pvera_A': of([2, 2], 1, 2, 9, 9),
      'base_model.pvera_B': of([2, 1], 1, 1),
      [`${X}.pvera_lambda_b`]: of([2], 1, 3),
      [`${X}.pvera_lambda_d`]: of([2], 2, 9),
    },
    config: { peft_type: 'PVERA', r: 1 },
    kind: 'pvera',
    rows: [
      [2, 4],
      [6, 12],
    ],
  },
  // Four entries of a rank of 1: the sides add up to 4, and the largest places are 1 and 1.
  SHiRA: {
    tensors: {
      [`${X}.shira_weight`]: of([4], 1, 2, 3, 4),
      [`${X}.shira_indices`]: of([2, 4], 0, 0, 1, 1, 0, 1, 0, 1),
    },
    config: { peft_type: 'SHIRA', r: 1 },
    kind: 'shira',
    rows: [
      [1, 2],
      [3, 4],
    ],
  },
  Supra: {
    tensors: {
      [`${X}.supertuning_values`]: of([1], 5),
      [`${X}.supertuning_indices`]: of([1], 3),
      [`${X}.supertuning_lora_A.weight`]: of([1, 2], 1, 2),
      [`${X}.supertuning_lora_B.weight`]: of([2, 1], 1, 1),
    },
    config: { peft_type: 'SUPERTUNING', r: 1, lora_alpha: 3 },
    kind: 'supertuning',
    rows: [
      [3, 6],
      [3, 11],
    ],
  },
  'Uni-LoRA': {
    tensors: {
      'base_model.unilora_theta_d': of([3], 1, 2, 3),
      [`${X}.unilora_indices_A`]: of([1, 2], 0, 2),
      [`${X}.unilora_indices_B`]: of([2, 1], 1, 1),
      [`${X}.unilora_scales_A`]: of([1, 2], 1, 2),
      [`${X}.unilora_scales_B`]: of([2, 1], 1, 0.5),
    },
    config: { peft_type: 'UNILORA', r: 1, save_indices: true },
    kind: 'unilora',
    rows: [
      [2, 12],
      [1, 6],
    ],
  },
  TinyLoRA: {
    tensors: {
      'base_model.tinylora_v.0': of([2], 1, 10),
      [`${X}.tinylora_A`]: of([1, 2], 1, 2),
      [`${X}.tinylora_B`]: of([2, 1], 1, 3),
      [`${X}.tinylora_P`]: of([2, 1, 1], 2, 1),
    },
    config: { peft_type: 'TINYLORA', r: 1 },
    kind: 'tinylora',
    rows: [
      [12, 24],
      [36, 72],
    ],
  },
};

/** What is said of files of which no update can be computed. */
const REFUSED: Readonly<Record<string, readonly [RegExp, Readonly<Record<string, Values>>, object]>> = {
  'VeRA without its random factors': [
    /its vera_A is not in the file: its random factors were not saved/,
    { [`${X}.vera_lambda_b`]: of([2], 1, 3), [`${X}.vera_lambda_d`]: of([1], 2) },
    { peft_type: 'VERA' },
  ],
  'VeRA on layers of different widths': [
    /its number of inputs is not in the file/,
    {
      ...METHODS.VeRA!.tensors,
      'base_model.model.layers.0.down_proj.vera_lambda_b': of([2], 1, 3),
      'base_model.model.layers.0.down_proj.vera_lambda_d': of([1], 2),
    },
    { peft_type: 'VERA' },
  ],
  'SHiRA of an unknown size': [
    /whose size the file does not state/,
    { [`${X}.shira_weight`]: of([4], 1, 2, 3, 4), [`${X}.shira_indices`]: of([2, 4], 0, 0, 0, 0, 0, 1, 0, 1) },
    { peft_type: 'SHIRA', r: 1 },
  ],
  'parts that do not fit': [
    /its parts do not fit together: c3a_kernel 2 x 2/,
    { [`${X}.c3a_kernel`]: of([2, 2], 1, 2, 3, 4) },
    { peft_type: 'C3A' },
  ],
  'a kernel that stands for a huge matrix': [
    /its update of 50000 x 50000 takes 2500000000 numbers/,
    { [`${X}.c3a_kernel`]: of([1, 1, 50000], ...Array<number>(50000).fill(1)) },
    { peft_type: 'C3A' },
  ],
  'places outside of the bank': [
    /it points at 7, outside of the 3 places there are/,
    {
      ...METHODS['VB-LoRA with the largest weights only']!.tensors,
      [`${X}.vblora_logits_A_topk_indices`]: of([1, 1, 2], 1, 7),
    },
    { peft_type: 'VBLORA', topk: 2 },
  ],
  MiSS: [/it belongs to a MiSS adapter/, { [`${X}.miss_block`]: of([2, 2], 1, 2, 3, 4) }, { peft_type: 'MISS' }],
  'X-LoRA': [/X-LoRA adapter/, { 'base_model.xlora_classifier.inner.0.weight': of([2, 2], 1, 2, 3, 4) }, {}],
  AdaMSS: [/AdaMSS adapter/, { [`${X}.adamss_A.0`]: of([2, 2], 1, 2, 3, 4) }, {}],
  'an adaption prompt': [
    /adds tokens and no weights/,
    { 'base_model.model.layers.0.self_attn.adaption_prompt': of([1, 2, 2], 1, 2, 3, 4) },
    {},
  ],
  'a method of the future': [
    /an adapter of the method QUUX, which is not supported: merge it into its base/,
    { [`${X}.quux_kernel`]: of([2, 2], 1, 2, 3, 4) },
    { peft_type: 'QUUX' },
  ],
  'a QALoRA adapter': [
    /QALoRA adapter: its A acts on averages/,
    { [`${X}.lora_A.weight`]: of([1, 2], 1, 2), [`${X}.lora_B.weight`]: of([2, 1], 1, 3) },
    { peft_type: 'LORA', use_qalora: true },
  ],
};

describe('the relatives of LoRA in PEFT', function () {
  this.timeout(60_000);
  const folder = testFolder();
  const service = createService({});
  after(() => service.close());
  const analysisOf = (path: string) => service.analyze({ path, engine: 'cpu', cache: false });

  function written(name: string, tensors: Readonly<Record<string, Values>>, config: object): string {
    folder.write(`${name}/adapter_config.json`, JSON.stringify(config));
    return folder.write(`${name}/adapter_model.safetensors`, f32File(tensors));
  }

  for (const [name, { tensors, config, kind, rows, scale = 1 }] of Object.entries(METHODS))
    it(`${name} adds the matrix that follows from its parts`, async () => {
      const path = written('method', tensors, config);
      const analysis = await analysisOf(path);
      assert.ok(validSchema(analysis), JSON.stringify(validSchema.errors));
      const { matrices } = analysis;
      const [matrix] = matrices;
      assert.deepEqual([matrices.length, matrix?.name, matrix?.adapter?.kind], [1, 'layers.0.q_proj', kind]);
      assert.deepEqual([matrix?.shape, matrix?.adapter?.scale], [[rows.length, rows[0]!.length], scale]);
      const [a = [], b = []] = rows.map((row) => row.map((value) => scale * value));
      // ||W||_F, and |W W^T| = (sigma_1 sigma_2)^2 for two rows.
      const dot = (one: readonly number[], other: readonly number[]) =>
        one.reduce((sum, value, k) => sum + value * other[k]!, 0);
      const [aa, ab, bb] = [dot(a, a), dot(a, b), dot(b, b)];
      const largest = Math.sqrt((aa + bb) / 2 + Math.sqrt(((aa - bb) / 2) ** 2 + ab ** 2));
      assert.ok(Math.abs(matrix!.frobeniusNorm - Math.sqrt(aa + bb)) < 1e-5 * largest);
      assert.ok(Math.abs(matrix!.spectralNorm - largest) < 1e-5 * largest);
      const dense = folder.write(
        'dense.safetensors',
        f32File({ 'layers.0.q_proj.diff': of(matrix!.shape, ...a, ...b) }),
      );
      const { layers } = await service.compare({ paths: [path, dense] });
      assert.ok(Math.abs(layers[0]!.pairs[0]!.cosine! - 1) < 1e-6, 'as the matrix itself');
    });

  for (const [name, [reason, tensors, config]] of Object.entries(REFUSED))
    it(`no part of ${name} is shown as a weight, and each says why`, async () => {
      const path = written('refused', tensors, config);
      const { matrices, skipped } = await analysisOf(path);
      assert.deepEqual(matrices, []);
      assert.match(skipped.map((each) => each.reason).join('; '), reason);
    });

  it('share one bank between layers and adapters of other names', async () => {
    const { tensors, config } = METHODS['VB-LoRA']!;
    const other = Object.fromEntries(
      Object.entries(tensors).map(([name, values]) => [
        name.startsWith(X) ? `${Y}${name.slice(X.length)}.second` : `${name}.second`,
        values,
      ]),
    );
    const { matrices } = await analysisOf(written('both', { ...tensors, ...other }, config));
    assert.deepEqual(
      matrices.map(({ name, adapter }) => [name, adapter?.name]),
      [
        ['layers.0.q_proj', undefined],
        ['layers.1.q_proj (second)', 'second'],
      ],
    );
  });
});
