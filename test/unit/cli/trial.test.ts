import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { Ajv } from 'ajv';
import { TRIAL_METHODS, type Trial } from '../../../src/model/trial.ts';
import { testFolder } from '../formats/folder.ts';
import { python } from '../formats/python.ts';
import { noise, writeMatrices } from '../service/matrices.ts';
import { run } from './run.ts';

const SAMPLE = 'test/fixtures/sample/model.safetensors';
const LAYER = '.layers.2.';
const SMOLLM = '../shared/checkpoints/smollm2-135m/SmolLM2-135M-Instruct.Q4_1.gguf';

describe('rankscope trial', function () {
  this.timeout(120_000);
  const folder = testFolder();
  const cli = (...words: string[]) => run(folder.path('cache'), 'trial', ...words, '--threads', '1');
  const small = () =>
    writeMatrices(folder.path('small.safetensors'), { 'a.weight': noise(30, 20, 1), 'b.weight': noise(9, 8, 2) });

  it('prints the error of each method at each rank, measured and predicted, and the products', async () => {
    const { code, stdout, stderr } = await cli(
      small(),
      '--rank',
      '4,12',
      '--method',
      'exact,nystrom',
      '--tensor',
      'a.*',
    );
    assert.deepEqual([code, stderr], [0, '']);
    const cells = stdout.split('\n').map((line) => line.trim().split(/ {2,}/));
    assert.match(stdout, /^a\.weight: 30 x 20 F32, norm \S+, break-even rank 12\n/);
    const row = (label: string) => cells.find(([first]) => first === label)!;
    for (const label of ['4 exact', '12 exact']) {
      const [, error, predicted, , passes] = row(label);
      assert.match(error!, /^\d+\.\d{3} %$/);
      assert.equal(predicted, error);
      assert.equal(passes, 'in memory');
    }
    assert.match(row('12 nystrom')[2]!, /^\S+ % \(\S+ % to \S+ %\)$/);
    assert.deepEqual(row('W x').slice(0, 2), ['W x', '600']);
    assert.equal(row('B (A x), rank 4')[1], '200');
    assert.match(stdout, /seed 1\n/);
  });

  it('prints one object that matches its schema with --json, and writes the same with --out', async () => {
    const valid = new Ajv({ strict: true, allowUnionTypes: true }).compile(
      JSON.parse(readFileSync('media/schemas/trial.schema.json', 'utf8')) as object,
    );
    const out = folder.path('out.json');
    const words = [small(), '--rank', '4', '--rank', '2', '--values', '--power', '1', '--seed', '7', '--out', out];
    const { code, stdout } = await cli(...words, '--json');
    assert.equal(code, 0);
    const found = JSON.parse(stdout) as Trial;
    assert.ok(valid(found), JSON.stringify(valid.errors));
    assert.deepEqual(JSON.parse(readFileSync(out, 'utf8')), found);
    assert.deepEqual([found.ranks, found.powerIterations, found.seed, found.matrices.length], [[2, 4], 1, 7, 2]);
    assert.equal((await cli(...words, '--json')).code, 2);
  });

  it('ends with 2 and a line that says what is wrong', async () => {
    const path = small();
    const wrong: readonly (readonly [RegExp, ...string[]])[] = [
      [/--rank is missing/],
      [/--rank takes whole numbers from 1 on, not '0'/, '--rank', '0'],
      [/not 'x'/, '--rank', '4,x'],
      [/--method takes exact, randomized, nystrom, column-row, not 'qr'/, '--rank', '4', '--method', 'qr'],
      [/--probes takes a whole number from 8 to 256/, '--rank', '4', '--probes', '2'],
      [/none of its 2 matrices matches c\*/, '--rank', '4', '--tensor', 'c*'],
      [/rank 500 of a 30 x 20 matrix/, '--rank', '500'],
    ];
    for (const [message, ...words] of wrong) {
      const { code, stdout, stderr } = await cli(path, ...words);
      assert.deepEqual([code, stdout], [2, '']);
      assert.match(stderr, message);
    }
  });

  it('agrees with numpy in float64 on the matrices of a layer', async function () {
    const truth = python(this, ['numpy', 'torch', 'safetensors'], ERRORS, SAMPLE, '5,20', LAYER) as Record<
      string,
      number[]
    >;
    const { stdout } = await cli(
      SAMPLE,
      '--rank',
      '5,20',
      '--method',
      TRIAL_METHODS.join(),
      '--tensor',
      `*${LAYER}*`,
      '--json',
    );
    const { matrices } = JSON.parse(stdout) as Trial;
    assert.equal(matrices.length, Object.keys(truth).length);
    for (const { name, ranks } of matrices)
      for (const [k, { leastError, results }] of ranks.entries()) {
        const least = truth[name]![k]!;
        assert.ok(Math.abs(leastError - least) < 1e-5, `${name}: ${leastError}, ${least} is right`);
        for (const { method, error, predicted } of results) {
          if (method === 'exact') assert.ok(Math.abs(error - least) < 1e-5, name);
          assert.ok(error >= least - 1e-5, `${name} ${method}: ${error} is below ${least}`);
          // Two power iterations come near to the least error on trained weights.
          if (method === 'randomized')
            assert.ok(error <= 1.05 * least + 1e-5, `${name}: ${error}, ${least} is the least`);
          if (method !== 'nystrom') assert.ok(Math.abs(predicted.error - error) < 1e-4, `${name} ${method}`);
        }
      }
    const all = matrices.flatMap(({ ranks }) => ranks.flatMap(({ results }) => results));
    const bands = all.filter(({ method }) => method === 'nystrom');
    const held = bands.filter(({ error, predicted: { band } }) => band[0] <= error && error <= band[1]);
    assert.ok(held.length >= bands.length - 1, `${held.length} of ${bands.length} bands hold the error`);
  });

  it('tries a quantized projection of a published model', async function () {
    if (!existsSync(SMOLLM)) {
      this.test!.title += ` [skipped: ${SMOLLM} is missing]`;
      this.skip();
    }
    const { stdout } = await cli(SMOLLM, '--rank', '64', '--tensor', 'blk.3.ffn_down.weight', '--json');
    const [matrix] = (JSON.parse(stdout) as Trial).matrices;
    const [exact, randomized, nystrom] = matrix!.ranks[0]!.results;
    assert.deepEqual(matrix!.shape, [576, 1536]);
    assert.ok(exact!.error < randomized!.error && randomized!.error < nystrom!.error);
    assert.ok(Math.abs(randomized!.predicted.error - randomized!.error) < 1e-4);
  });
});

const ERRORS = `
import json, sys
import numpy as np
from safetensors import safe_open

ranks = [int(rank) for rank in sys.argv[2].split(",")]
errors = {}
with safe_open(sys.argv[1], framework="pt") as file:
    for name in file.keys():
        tensor = file.get_tensor(name)
        if tensor.ndim == 2 and sys.argv[3] in name:
            values = np.linalg.svd(tensor.double().numpy(), compute_uv=False)
            errors[name] = [float(np.linalg.norm(values[rank:]) / np.linalg.norm(values)) for rank in ranks]
print(json.dumps(errors))
`;
