import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { breakEvenRank } from '../../../src/base/shape.ts';
import { writeFactorized } from '../../../src/write/factorized.ts';
import { pythonModule } from '../../../src/write/python.ts';
import { prepare, scratchFolder } from './written.ts';

const PYTHON = process.env.RANKSCOPE_PYTHON;

interface Compared {
  readonly error: string | null;
  /** Largest difference to the dense model with B A, relative to its largest output. */
  readonly difference: number;
  /** The same for the original model. */
  readonly changed: number;
  readonly low_rank: Readonly<Record<string, number>>;
  readonly dense: Readonly<Record<string, string>>;
  readonly warned: boolean;
  readonly refusal: string | null;
}

/** Models that transformers builds, and a matrix of each that must stay dense, with the reason that is given. */
const MODELS: Readonly<Record<string, readonly [matrix: RegExp, reason: RegExp] | null>> = {
  gemma2: null,
  gemma3_text: [/^model\.embed_tokens\.weight$/, /Gemma3TextScaledWordEmbedding/],
  llama4_text: [/router\.weight$/, /Llama4Router/],
  opt: [/embed_positions\.weight$/, /OPTLearnedPositionalEmbedding/],
  bart: [/embed_positions\.weight$/, /BartLearnedPositionalEmbedding/],
  pegasus: null,
  bigbird_pegasus: [/embed_positions\.weight$/, /BigBirdPegasusLearnedPositionalEmbedding/],
  vit: null,
  gpt_neox: null,
  mixtral: null,
  qwen3_moe: null,
  whisper: [/decoder\.embed_positions\.weight$/, /WhisperPositionalEmbedding/],
  granitemoe: null,
  gpt2: null,
  bert: null,
  t5: null,
  wav2vec2: null,
};

describe('the code generated for models of transformers', function () {
  this.timeout(600_000);
  const folder = scratchFolder();
  const python = (script: string, ...args: string[]): unknown =>
    JSON.parse(
      execFileSync(PYTHON!, [resolve('test/python', script), folder, ...args], {
        encoding: 'utf8',
        env: { ...process.env, PYTHONDONTWRITEBYTECODE: '1', OMP_NUM_THREADS: '1', HF_HUB_OFFLINE: '1' },
        stdio: ['ignore', 'pipe', 'pipe'],
      }),
    );
  let compared: Record<string, Compared> = {};

  before(async function () {
    if (!PYTHON) {
      for (const test of this.currentTest?.parent?.tests ?? []) test.title += ' (RANKSCOPE_PYTHON names no Python)';
      return this.skip();
    }
    const made = python('make_models.py') as Record<string, string | null>;
    assert.deepEqual(
      made,
      Object.fromEntries(Object.keys(MODELS).map((name) => [name, null])),
      'a model cannot be made',
    );
    for (const [k, name] of Object.keys(MODELS).entries()) await factorize(join(folder, name), k % 2 === 0 ? 2 : 3);
    compared = python('compare_models.py', ...Object.keys(MODELS)) as Record<string, Compared>;
  });

  /** Gives each matrix factors, embeddings and routers too: what is dense in the end is the loader's decision. */
  async function factorize(model: string, factors: 2 | 3): Promise<void> {
    const prepared = await prepare(join(model, 'model.safetensors'));
    const ranks = prepared.matrices
      .filter(({ fixed }) => fixed === null)
      .map(({ name, shape }) => [name, Math.floor(0.7 * breakEvenRank(...shape, factors))] as const)
      .filter(([, rank]) => rank > 0);
    const plan = await prepared.plan({
      budget: { kind: 'keep', value: 1 },
      exclude: ['*'],
      overrides: Object.fromEntries(ranks),
      factors,
    });
    await writeFactorized({ ...prepared, plan, out: join(model, 'low.safetensors'), overwrite: false });
    writeFileSync(
      join(model, 'low.py'),
      pythonModule({ plan, matrices: prepared.matrices, weights: 'low.safetensors' }),
    );
    await prepared.checkpoint.close();
  }

  for (const [name, dense] of Object.entries(MODELS))
    it(`computes what ${name} computes with B A in the place of W`, () => {
      const { error, difference, changed, low_rank: layers, dense: reasons, warned } = compared[name]!;
      assert.equal(error, null);
      assert.ok(difference <= 1e-5, `differs by ${difference}`);
      assert.ok(changed > 1e-3, 'the factors change nothing: the test sees nothing');
      assert.ok(
        Object.values(layers).some((count) => count > 0),
        'no layer is low-rank',
      );
      assert.equal(warned, Object.keys(reasons).length > 0);
      if (dense) {
        const [matrix, reason] = dense;
        const [, found] = Object.entries(reasons).find(([each]) => matrix.test(each)) ?? [];
        assert.match(found ?? 'none', reason);
      }
    });

  it('refuses a model of other sizes, names the weight with both shapes, and leaves the model as it was', () => {
    assert.match(
      compared.gpt_neox!.refusal!,
      /low\.safetensors.*embed_in\.weight is \(50, 16\) in the model and \(48, 16\)/,
    );
    assert.match(
      compared.vit!.refusal!,
      /low\.safetensors.*classifier\.weight is \(5, 16\) in the model and \(2, 16\)/,
    );
  });

  it('makes every kind of layer low-rank that transformers uses unchanged', () => {
    assert.ok(compared.gpt2!.low_rank.LowRankConv1D! >= 8);
    assert.ok(compared.gpt_neox!.low_rank.LowRankEmbedding! >= 1);
    assert.ok(compared.whisper!.low_rank.LowRankConv! >= 2);
    assert.ok(compared.vit!.low_rank.LowRankConv! >= 1);
    assert.ok(compared.vit!.low_rank.SVDLinear! >= 12);
  });

  it('holds the factors of experts that transformers merges into one tensor', () => {
    for (const name of ['mixtral', 'qwen3_moe'])
      assert.deepEqual(
        Object.keys(compared[name]!.dense).filter((matrix) => matrix.includes('experts')),
        [],
      );
  });
});
