import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Plan } from '../../../src/model/plan/plan.ts';
import { layersModule } from '../../../src/write/layersModule.ts';
import { scratchFolder } from './written.ts';

const PYTHON = process.env.RANKSCOPE_PYTHON;

/** Functions of layer_cases.py, and what each of them shows. */
const CASES: Readonly<Record<string, string>> = {
  linear: 'make a linear layer the best of its rank, for torch.compile, torch.export, half precision and training',
  linear_in_other_types: 'decompose halves in single precision, and keep the type of the layer',
  made_without_a_layer: 'start out with the variance of nn.Linear where there is no layer yet',
  convolutions: 'make a k x k convolution r filters and a 1 x 1 convolution, in one to three dimensions',
  conv1d_of_transformers: 'make the Conv1D of GPT-2 low-rank, whose weight is the transpose',
  embeddings: 'make embeddings low-rank',
  fused: 'give q, k and v of a fused layer ranks of their own',
  experts: 'give each expert of a stack its own rank, or all the same, and compute with the factors',
  factorized_models: 'take their places in a model by a table of ranks, in place, or leave it as it was',
  what_cannot_be_low_rank: 'refuse layers with code of their own and ranks beyond the matrix',
};

describe('the ranks of a plan in a module of layers', () => {
  it('are a list for experts that are one tensor', () => {
    const ranks = {
      'q.weight': 4,
      'k.weight': null,
      'up[0]': 2,
      'up[1]': null,
      'up[2]': 3,
      'down[0]': null,
      'down[1]': null,
    };
    const matrices = Object.entries(ranks).map(([name, rank]) => ({ name, rank }));
    const text = layersModule({ plan: { request: { factors: 2 }, matrices } as unknown as Plan });
    const [, table] = /^RANKS = (\{[^}]*\})/m.exec(text)!;
    assert.deepEqual(JSON.parse(table!.replaceAll('None', 'null').replace(/,(?=\s*[\]}])/g, '')), {
      'q.weight': 4,
      up: [2, null, 3],
    });
  });
});

describe('low-rank layers for code of one’s own', function () {
  this.timeout(180_000);
  const folder = scratchFolder();
  let outcome: Record<string, string | null> = {};

  before(function () {
    if (!PYTHON) {
      for (const test of this.currentTest?.parent?.tests ?? []) test.title += ' (RANKSCOPE_PYTHON names no Python)';
      return this.skip();
    }
    const [two, three] = ([2, 3] as const).map((factors) => {
      const text = layersModule({ factors });
      const wide = text.split('\n').filter((line) => line.length > 120);
      assert.deepEqual(wide, []);
      const code = join(folder, `layers${factors}.py`);
      writeFileSync(code, text);
      return code;
    });
    const printed = execFileSync(PYTHON, [resolve('test/python/layer_cases.py'), two!, three!, ...Object.keys(CASES)], {
      encoding: 'utf8',
      env: { ...process.env, PYTHONDONTWRITEBYTECODE: '1', OMP_NUM_THREADS: '1' },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    outcome = JSON.parse(printed) as typeof outcome;
  });

  for (const [name, title] of Object.entries(CASES)) it(title, () => assert.equal(outcome[name], null));
});
