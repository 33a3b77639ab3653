import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { Ajv } from 'ajv';
import { createReferenceBackend } from '../../../src/devices/reference/backend.ts';
import type { MatrixFinding } from '../../../src/model/findings.ts';
import type { AnalyzeRequest } from '../../../src/protocol/service.ts';
import { createService } from '../../../src/service/service.ts';
import { withMatrix } from '../../numeric/device.ts';
import {
  imatrixDatFile,
  imatrixGgufFile,
  statisticsFile,
  type TestEntry,
  type TestGroup,
} from '../activations/statisticsBytes.ts';
import { testFolder } from '../formats/folder.ts';
import { f32s, ggufBytes, text } from '../formats/gguf/ggufBytes.ts';
import { rejectsWith } from '../formats/rejectsWith.ts';
import { noise, type TestMatrix, writeMatrices } from './matrices.ts';

const [WIDTH, INNER] = [16, 24];
const SHAPES = {
  'self_attn.q_proj': [WIDTH, WIDTH],
  'self_attn.k_proj': [8, WIDTH],
  'self_attn.v_proj': [8, WIDTH],
  'self_attn.o_proj': [WIDTH, WIDTH],
  'mlp.gate_proj': [INNER, WIDTH],
  'mlp.up_proj': [INNER, WIDTH],
  'mlp.down_proj': [WIDTH, INNER],
} as const;
const GROUPED = [
  ['self_attn.q_proj', 'self_attn.k_proj', 'self_attn.v_proj'],
  ['self_attn.o_proj'],
  ['mlp.gate_proj', 'mlp.up_proj'],
  ['mlp.down_proj'],
] as const;
const LLAMA_NAMES: Readonly<Record<keyof typeof SHAPES, string>> = {
  'self_attn.q_proj': 'attn_q',
  'self_attn.k_proj': 'attn_k',
  'self_attn.v_proj': 'attn_v',
  'self_attn.o_proj': 'attn_output',
  'mlp.gate_proj': 'ffn_gate',
  'mlp.up_proj': 'ffn_up',
  'mlp.down_proj': 'ffn_down',
};
const PARTS = Object.keys(SHAPES) as (keyof typeof SHAPES)[];

/** The matrices of a LLaMA with so many layers. */
function llama(layers: number, prefix = 'model.'): Record<string, TestMatrix> {
  const matrices: Record<string, TestMatrix> = { [`${prefix}embed_tokens.weight`]: noise(40, WIDTH, 99) };
  for (let layer = 0; layer < layers; layer++)
    for (const [k, part] of PARTS.entries())
      matrices[`${prefix}layers.${layer}.${part}.weight`] = noise(SHAPES[part][0], SHAPES[part][1], 10 * layer + k);
  return matrices;
}

/** R of the inputs of a group: upper triangular, with columns of very different sizes. */
function factor(n: number, seed: number): Float32Array {
  const { values } = noise(n, n, 1000 + seed);
  return values.map((value, at) => (at % n < Math.floor(at / n) ? 0 : value * 10 ** (-(at % n) / 8)));
}

function groups(layers: number, prefix = 'model.'): TestGroup[] {
  return Array.from({ length: layers }, (_, layer) =>
    GROUPED.map((parts, k): TestGroup => {
      const name = (part: string) => `${prefix}layers.${layer}.${part}`;
      const matrices = Object.fromEntries(parts.map((part) => [`${name(part)}.weight`, SHAPES[part]]));
      return { name: name(parts[0]), matrices, r: factor(SHAPES[parts[0]][1], 10 * layer + k), tokens: 100 };
    }),
  ).flat();
}

/** Sums of squares in llama.cpp's names. */
function imatrix(layers: number): TestEntry[] {
  return Array.from({ length: layers }, (_, layer) =>
    PARTS.map((part) => ({
      name: `blk.${layer}.${LLAMA_NAMES[part]}.weight`,
      sums: [Array.from({ length: SHAPES[part][1] }, (_value, j) => 512 * 4 ** (-j / 3) * (1 + layer))],
      counts: [512],
    })),
  ).flat();
}

/** Singular values, by Jacobi rotations in f64, of W times the transpose of R (rows x n). */
async function truth({ rows, cols, values }: TestMatrix, r: ArrayLike<number>): Promise<Float64Array> {
  const height = r.length / cols;
  const product = new Float32Array(rows * height);
  for (let i = 0; i < rows; i++)
    for (let k = 0; k < height; k++) {
      let sum = 0;
      for (let j = 0; j < cols; j++) sum += values[i * cols + j]! * r[k * cols + j]!;
      product[i * height + k] = sum;
    }
  return withMatrix(createReferenceBackend(), product, rows, height, async (matrix) => {
    const backend = createReferenceBackend();
    return withMatrix(backend, product, matrix.rows, matrix.cols, (own) => backend.singularValues(own));
  });
}

/** As a matrix, the root of a diagonal. */
function rootOf(sums: readonly number[]): Float32Array {
  const r = new Float32Array(sums.length ** 2);
  for (const [i, sum] of sums.entries()) r[i * sums.length + i] = Math.sqrt(sum);
  return r;
}

function checkRanks(finding: MatrixFinding, right: Float64Array): void {
  const { activations } = finding;
  assert.ok(activations, `${finding.name} has no activations`);
  const count = Math.min(...finding.shape);
  const values = activations.singularValues!;
  assert.equal(values.length, count);
  for (let i = 0; i < count; i++)
    assert.ok(Math.abs(values[i]! - right[i]!) < 1e-5 * right[0]!, `${finding.name} ${i}: ${values[i]}, ${right[i]}`);
  const energies = Array.from(right, (value) => value * value);
  const total = energies.reduce((sum, energy) => sum + energy, 0);
  for (const [level, rank] of Object.entries(activations.energyRanks)) {
    const kept = (k: number) => energies.slice(0, k).reduce((sum, energy) => sum + energy, 0) / total;
    assert.ok(kept(rank) >= Number(level) - 1e-6 && kept(rank - 1) < Number(level) + 1e-6, `${finding.name} ${level}`);
  }
}

describe('an analysis with statistics of activations', function () {
  this.timeout(30_000);
  const folder = testFolder();
  const service = createService({});
  after(() => service.close());
  const analyze = (more: Omit<AnalyzeRequest, 'path'> & { path?: string }) =>
    service.analyze({ path: folder.path('model.safetensors'), engine: 'wasm', values: true, ...more });
  const model = (layers = 2) => writeMatrices(folder.path('model.safetensors'), llama(layers));
  const statistics = (content: Uint8Array, name = 'x.activations.safetensors') => folder.write(name, content);

  it('has the singular values and energy ranks of W X beside those of W', async () => {
    model();
    const known = groups(2);
    const activations = statistics(statisticsFile(known));
    const analysis = await analyze({ activations });
    assert.equal(analysis.activations?.kind, 'full');
    assert.equal(analysis.matrices.length, 15);
    const matrices = llama(2);
    for (const finding of analysis.matrices) {
      const group = known.find((each) => finding.name in each.matrices);
      if (!group) {
        assert.equal(finding.name, 'model.embed_tokens.weight');
        assert.equal(finding.activations, undefined);
        continue;
      }
      checkRanks(finding, await truth(matrices[finding.name]!, group.r));
      assert.equal(finding.activations!.shrinkage, 0);
      assert.equal(finding.activations!.tokens, 100);
    }
    // Of W itself, as ever.
    const plain = await analyze({});
    assert.equal(plain.activations, undefined);
    assert.deepEqual(
      plain.matrices.map(({ name, energyRanks }) => ({ name, energyRanks })),
      analysis.matrices.map(({ name, energyRanks }) => ({ name, energyRanks })),
    );
    const schema = JSON.parse(readFileSync('media/schemas/analysis.schema.json', 'utf8')) as object;
    const validate = new Ajv({ strict: true, allowUnionTypes: true }).compile(schema);
    assert.ok(validate(analysis), JSON.stringify(validate.errors));
  });

  it('gives the spectrum of W X of one matrix', async () => {
    const path = model();
    const known = groups(2);
    const activations = statistics(statisticsFile(known));
    const name = 'model.layers.1.mlp.down_proj.weight';
    const spectrum = await service.spectrum({ path, name, activations });
    const right = await truth(llama(2)[name]!, known.find((each) => name in each.matrices)!.r);
    assert.ok(Math.abs(spectrum.activations!.singularValues![3]! - right[3]!) < 1e-5 * right[0]!);
    const none = await service.spectrum({ path, name: 'model.embed_tokens.weight', activations });
    assert.equal(none.activations, null);
    assert.ok(!('activations' in (await service.spectrum({ path, name }))));
  });

  it('takes other statistics for what they are, though W and their path are the same', async () => {
    model();
    const known = groups(2);
    const ranks = async (content: Uint8Array) => {
      const { matrices } = await analyze({ activations: statistics(content) });
      return matrices.map((finding) => finding.activations?.spectralNorm ?? 0);
    };
    const first = await ranks(statisticsFile(known));
    const other = await ranks(
      statisticsFile(known.map((group) => ({ ...group, r: Float32Array.from(group.r, (v) => 2 * v) }))),
    );
    for (const [k, norm] of first.entries()) assert.ok(Math.abs(other[k]! - 2 * norm) <= 1e-4 * norm);
  });

  it('computes W X once, and W not again', async () => {
    model();
    const before = await analyze({});
    const activations = statistics(statisticsFile(groups(2)));
    const reports: MatrixFinding[] = [];
    const request = { path: folder.path('model.safetensors'), engine: 'wasm', mode: 'both', activations } as const;
    const first = await service.analyze(request, {
      progress: ({ finding }) => {
        if (finding) reports.push(finding);
      },
    });
    const again = await analyze({ activations });
    for (const [k, { name, seconds }] of before.matrices.entries()) {
      assert.equal(first.matrices[k]!.seconds, seconds, name);
      assert.equal(first.matrices[k]!.activations?.seconds, again.matrices[k]!.activations?.seconds);
      // What was known is shown at once, and again with its activations.
      const own = reports.filter((finding) => finding.name === name);
      assert.ok(own.some((finding) => !finding.activations));
      assert.equal(own.at(-1)!.activations !== undefined, !name.includes('embed'));
    }
  });

  it('shrinks the statistics of few tokens, and says so', async () => {
    model();
    const known = groups(2).map((group) => ({
      ...group,
      tokens: 5,
      r: factor(Math.sqrt(group.r.length), 7).fill(0, 5 * Math.sqrt(group.r.length)),
    }));
    const { matrices } = await analyze({ activations: statistics(statisticsFile(known)) });
    for (const finding of matrices.filter(({ name }) => !name.includes('embed'))) {
      const { r } = known.find((each) => finding.name in each.matrices)!;
      const n = Math.sqrt(r.length);
      assert.equal(finding.activations!.shrinkage, 0.01);
      const mean = r.reduce((sum, value) => sum + value * value, 0) / n;
      const more = Float32Array.from([...r, ...rootOf(Array.from({ length: n }, () => 0.01 * mean))]);
      checkRanks(finding, await truth(llama(2)[finding.name]!, more));
    }
  });

  it('says which matrices no token reached, and which statistics are damaged', async () => {
    model();
    const [first, second, ...others] = groups(2) as [TestGroup, TestGroup, ...TestGroup[]];
    const damaged = Float32Array.from(second.r);
    damaged[3] = Number.NaN;
    const file = statisticsFile([{ ...first, tokens: 0, r: first.r }, { ...second, r: damaged }, ...others]);
    const { matrices, warnings, skipped } = await analyze({ activations: statistics(file) });
    assert.equal(matrices.length, 15);
    assert.equal(matrices.filter(({ activations }) => activations).length, 10);
    assert.match(warnings!.join('\n'), /No token of the text reached 3 of the matrices.*q_proj/);
    assert.match(warnings!.join('\n'), /W X was not measured: .*o_proj.*NaN/);
    assert.deepEqual(
      skipped.filter(({ name }) => name.includes('proj')),
      [],
    );
  });

  it('refuses statistics of another model with the differences', async () => {
    model();
    const refused = (content: Uint8Array, ...patterns: RegExp[]) =>
      rejectsWith(analyze({ activations: statistics(content) }), 'wrong-use', /another model/, ...patterns);
    await refused(statisticsFile(groups(3)), /layers\.2\.self_attn\.q_proj\.weight is not in it/, /and 4 more/);
    await refused(statisticsFile(groups(1)), /its layers 1 have no statistics/);
    const [first, ...others] = groups(2) as [TestGroup, ...TestGroup[]];
    const name = Object.keys(first.matrices)[0]!;
    const wider = { ...first, matrices: { ...first.matrices, [name]: [17, WIDTH] as const } };
    await refused(statisticsFile([wider, ...others]), /q_proj\.weight is 16 x 16 there and 17 x 16/);
    const gpt = {
      name: 'h.0.attn',
      matrices: { 'h.0.attn.c_attn.weight': [48, 16] as const },
      r: factor(16, 1),
      tokens: 9,
    };
    await refused(statisticsFile([gpt]), /c_attn\.weight is not in it/, /no layer of it has statistics/);
    await refused(imatrixGgufFile(imatrix(3)), /layers\.2/);
    const narrow = imatrix(2).map((entry) => ({ ...entry, sums: [entry.sums[0]!.slice(1)] }));
    await refused(imatrixDatFile(narrow), /q_proj\.weight has 16 inputs there and 15/);
  });

  it('refuses estimates with them', async () => {
    model();
    const activations = statistics(statisticsFile(groups(2)));
    await rejectsWith(analyze({ activations, mode: 'preview' }), 'wrong-use', /exact/);
  });

  it('matches names where one side lacks the path of the base model', async () => {
    writeMatrices(folder.path('model.safetensors'), llama(2, ''));
    const { matrices } = await analyze({ activations: statistics(statisticsFile(groups(2))) });
    assert.equal(matrices.filter(({ activations }) => activations).length, 14);
    writeMatrices(folder.path('model.safetensors'), llama(2));
    const other = await analyze({ activations: statistics(statisticsFile(groups(2, ''))) });
    assert.equal(other.matrices.filter(({ activations }) => activations).length, 14);
  });

  it('takes those of the head for a tied embedding', async () => {
    model();
    const head = {
      name: 'lm_head',
      matrices: { 'lm_head.weight': [40, WIDTH] as const },
      r: factor(WIDTH, 5),
      tokens: 100,
    };
    const { matrices } = await analyze({ activations: statistics(statisticsFile([...groups(2), head])) });
    const embedding = matrices.find(({ layer }) => layer === null)!;
    checkRanks(embedding, await truth(llama(2)[embedding.name]!, head.r));
  });

  for (const [kind, write] of [
    ['imatrix.gguf', imatrixGgufFile],
    ['imatrix.dat', imatrixDatFile],
  ] as const)
    it(`scales columns by the root of the diagonal in ${kind}, under the names of Hugging Face and of llama.cpp`, async () => {
      const entries = imatrix(2);
      const activations = statistics(write(entries), kind);
      const matrices = llama(2);
      const sumsOf = (own: string) => entries.find(({ name }) => name === own)!;
      model();
      const analysis = await analyze({ activations });
      assert.equal(analysis.activations!.kind, 'diagonal');
      // The older format does not have the number of tokens: the values have another scale.
      const scale = kind.endsWith('dat') ? 4 / 512 : 1;
      const [, ...others] = analysis.matrices.toSorted((a, b) => (a.layer ?? -1) - (b.layer ?? -1));
      for (const finding of others) {
        const [, layer, part] = /layers\.(\d)\.(.*)\.weight/.exec(finding.name)!;
        const { sums } = sumsOf(`blk.${layer}.${LLAMA_NAMES[part as keyof typeof SHAPES]}.weight`);
        checkRanks(finding, await truth(matrices[finding.name]!, rootOf(sums[0]!.map((sum) => sum * scale))));
        assert.equal(finding.activations!.shrinkage, 0);
      }
      const path = folder.path('model.gguf');
      const renamed = Object.entries(matrices).map(([name, { rows, cols, values }]) => {
        const [, layer, part] = /layers\.(\d)\.(.*)\.weight/.exec(name) ?? [];
        const own = part ? `blk.${layer}.${LLAMA_NAMES[part as keyof typeof SHAPES]}.weight` : 'token_embd.weight';
        return { name: own, dimensions: [cols, rows], type: 0, data: f32s(...values) };
      });
      writeFileSync(path, ggufBytes({ metadata: [['general.architecture', 8, text('llama')]], tensors: renamed }));
      const inGguf = await analyze({ path, activations });
      for (const finding of inGguf.matrices.filter(({ layer }) => layer !== null)) {
        const { sums } = sumsOf(finding.name);
        const { values, rows, cols } =
          matrices[
            finding.name.replace(/^blk\.(\d)\.(\w+)/, (_, layer: string, own: string) => {
              const part = PARTS.find((each) => LLAMA_NAMES[each] === own)!;
              return `model.layers.${layer}.${part}`;
            })
          ]!;
        checkRanks(finding, await truth({ rows, cols, values }, rootOf(sums[0]!.map((sum) => sum * scale))));
      }
      // Statistics with the names of transformers belong to the same file.
      const own = await analyze({ path, activations: statistics(statisticsFile(groups(2))) });
      assert.equal(own.matrices.filter((finding) => finding.activations).length, 14);
    });

  it('passes over entries of an imatrix whose names Hugging Face is not known to have', async () => {
    model();
    const more = { name: 'blk.0.ssm_unheard_of.weight', sums: [[1, 2, 3]], counts: [512] };
    const activations = statistics(imatrixGgufFile([...imatrix(2), more]), 'imatrix.gguf');
    const { matrices } = await analyze({ activations });
    assert.equal(matrices.filter((finding) => finding.activations).length, 14);
    await rejectsWith(
      analyze({ activations: statistics(imatrixGgufFile([more]), 'imatrix.gguf') }),
      'wrong-use',
      /no layer of it has statistics/,
    );
  });

  it('gives each expert its own part of an imatrix', async () => {
    const experts = 3;
    const matrices = Object.fromEntries(
      [0, 1].flatMap((layer) =>
        Array.from({ length: experts }, (_, expert) => [
          `model.layers.${layer}.block_sparse_moe.experts.${expert}.w1.weight`,
          noise(INNER, WIDTH, 10 * layer + expert),
        ]),
      ),
    ) as Record<string, TestMatrix>;
    const sums = (layer: number, expert: number) =>
      Array.from({ length: WIDTH }, (_, j) =>
        expert === 1 && layer === 1 ? 0 : 3 ** (-j * (expert + 1 + layer) * 0.2),
      );
    const entries = [0, 1].map((layer) => ({
      name: `blk.${layer}.ffn_gate_exps.weight`,
      sums: Array.from({ length: experts }, (_, expert) => sums(layer, expert)),
      counts: Array.from({ length: experts }, (_, expert) => (expert === 1 && layer === 1 ? 0 : 1)),
    }));
    writeMatrices(folder.path('model.safetensors'), matrices);
    const analysis = await analyze({ activations: statistics(imatrixGgufFile(entries), 'imatrix.gguf') });
    for (const finding of analysis.matrices) {
      const [layer, expert] = [finding.layer!, finding.expert!];
      if (layer === 1 && expert === 1) assert.equal(finding.activations, undefined);
      else checkRanks(finding, await truth(matrices[finding.name]!, rootOf(sums(layer, expert))));
    }
    assert.match(analysis.warnings!.join(' '), /No token of the text reached 1 of the matrices/);
    const short = entries.map((entry) => ({ ...entry, sums: entry.sums.slice(1), counts: entry.counts.slice(1) }));
    await rejectsWith(
      analyze({ activations: statistics(imatrixGgufFile(short), 'imatrix.gguf') }),
      'wrong-use',
      /has 48 inputs there and 32/,
    );
  });
});
