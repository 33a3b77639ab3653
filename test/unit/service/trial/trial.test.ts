import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { Ajv } from 'ajv';
import { TRIAL_METHODS, type Trial, type TrialRequest } from '../../../../src/model/trial.ts';
import { createService } from '../../../../src/service/service.ts';
import { matrixWith } from '../../../numeric/cases.ts';
import { EPSILON, multiply, transpose } from '../../../numeric/checks.ts';
import { statisticsFile } from '../../activations/statisticsBytes.ts';
import { testFolder } from '../../formats/folder.ts';
import { noise, type TestMatrix, writeMatrices } from '../matrices.ts';

const [M, N] = [40, 24];
const VALUES = Float64Array.from({ length: N }, (_, i) => 3 * 0.8 ** i);
const WEIGHT: TestMatrix = { rows: M, cols: N, values: matrixWith(VALUES, M, N, 3) };
const NORM = Math.hypot(...VALUES);
const NAME = 'model.layers.0.self_attn.q_proj.weight';
const valid = new Ajv({ strict: true, allowUnionTypes: true }).compile(
  JSON.parse(readFileSync('media/schemas/trial.schema.json', 'utf8')) as object,
);
const norm = (values: Iterable<number>) => Math.hypot(...values);
const near = (value: number, expected: number, off: number, what = '') =>
  assert.ok(Math.abs(value - expected) <= off, `${what} ${value}, ${expected} is right`);

describe('a trial', function () {
  this.timeout(60_000);
  const folder = testFolder();
  let service: ReturnType<typeof createService>;
  let path: string;
  before(() => {
    service = createService({});
    path = writeMatrices(folder.path('model.safetensors'), { [NAME]: WEIGHT, 'model.norm.weight': noise(1, 9, 2) });
  });
  after(() => service.close());
  const tried = async (request: Partial<TrialRequest> = {}): Promise<Trial> => {
    const found = await service.trial({
      path,
      ranks: [4],
      methods: TRIAL_METHODS,
      tensors: [NAME],
      threads: 1,
      ...request,
    });
    assert.ok(valid(JSON.parse(JSON.stringify(found))), JSON.stringify(valid.errors));
    return found;
  };

  it('has the least error of each rank from the exact truncation, predicted and measured', async () => {
    const { matrices } = await tried({ ranks: [12, 3, 12, 24], values: true });
    const [{ ranks, shape, frobeniusNorm, breakEvenRank }] = matrices as [(typeof matrices)[0]];
    assert.deepEqual([shape, breakEvenRank], [[M, N], 15]);
    near(frobeniusNorm, NORM, 1e-5);
    assert.deepEqual(
      ranks.map(({ rank, pays }) => [rank, pays]),
      [
        [3, true],
        [12, true],
        [24, false],
      ],
    );
    for (const { rank, leastError, results } of ranks) {
      const tail = VALUES.subarray(rank);
      const { error, predicted, residual } = results.find(({ method }) => method === 'exact')!;
      near(leastError, norm(tail) / NORM, 1e-6);
      near(error, norm(tail) / NORM, 4 * EPSILON * Math.sqrt(M));
      near(predicted.error, error, 4 * EPSILON * Math.sqrt(M));
      assert.equal(predicted.basis, 'spectrum');
      assert.equal(residual.values!.length, N);
      for (const [i, value] of residual.values!.entries()) near(value, tail[i] ?? 0, 1e-5);
      for (const other of results) assert.ok(other.error >= leastError - 1e-6, 'no error is below the least');
    }
  });

  it('measures what its pictures show: W less an approximation of that rank', async () => {
    const { matrices } = await tried({ ranks: [3, 6], values: true });
    for (const { rank, results } of matrices[0]!.ranks)
      for (const { method, error, residual, predicted } of results) {
        const pictures = await service.trialPictures({ path, name: NAME, method, rank, threads: 1 });
        const { original, approximation, residual: rest, shows, width, height } = pictures;
        assert.deepEqual([shows, width, height, original.length], ['entry', N, M, M * N]);
        assert.deepEqual(original, Array.from(WEIGHT.values));
        for (const [at, value] of rest.entries()) near(value, original[at]! - approximation[at]!, 1e-6);
        near(error, norm(rest) / NORM, 1e-6, method);
        // The approximation has this rank: its Gram matrix has no more eigenvalues than that, here by deflation.
        near(norm(residual.values!), norm(rest), 1e-5);
        near(residual.spectralNorm, Math.sqrt(largestEigenvalue(rest, M, N)), 1e-4);
        assert.ok(rankOf(approximation, M, N) <= rank);
        assert.ok(predicted.band[0] - 1e-6 <= error && error <= predicted.band[1] + 1e-6);
      }
  });

  it('is the same whatever ranks and methods are tried with it, and costs nothing the second time', async () => {
    const fresh = createService({});
    try {
      const request = { path, tensors: [NAME], threads: 1, methods: TRIAL_METHODS };
      const steps: string[] = [];
      const all = await fresh.trial({ ...request, ranks: [2, 5, 9] });
      const progress = ({ message }: { message: string }) => steps.push(message.slice(NAME.length + 2));
      const again = await fresh.trial({ ...request, ranks: [5] }, { progress });
      assert.deepEqual(again.matrices[0]!.ranks[0], all.matrices[0]!.ranks[1]);
      assert.deepEqual(steps, ['singular values']);
      await fresh.trialPictures({ path, name: NAME, method: 'nystrom', rank: 5, threads: 1 }, { progress });
      assert.deepEqual(steps.slice(1), ['pictures']);
      const alone = createService({});
      try {
        const { matrices } = await alone.trial({ ...request, ranks: [5], methods: ['randomized'] });
        const [own] = matrices[0]!.ranks[0]!.results;
        const known = all.matrices[0]!.ranks[1]!.results.find(({ method }) => method === 'randomized')!;
        assert.deepEqual([own!.error, own!.predicted], [known.error, known.predicted]);
      } finally {
        await alone.close();
      }
    } finally {
      await fresh.close();
    }
  });

  it('counts the parameters and multiply-adds of both products, and times them', async () => {
    const { matrices } = await tried({ ranks: [2, 15, 20] });
    const { product, ranks } = matrices[0]!;
    assert.deepEqual([product.parameters, product.multiplyAdds], [M * N, M * N]);
    for (const { rank, product: own, pays } of ranks) {
      assert.deepEqual([own.parameters, own.multiplyAdds], [rank * (M + N), rank * (M + N)]);
      // At rank 15, the break-even rank, both are equally large.
      assert.equal(pays, rank < 15);
    }
    for (const { seconds } of [product, ...ranks.map((rank) => rank.product)])
      for (const time of [seconds[1], seconds[128]]) assert.ok(time > 0 && time < 1);
  });

  it('passes over the matrix once for nystrom, three times for column-row, 2 + 2 q times for randomized', async () => {
    const { matrices } = await tried({ powerIterations: 3 });
    const passes = matrices[0]!.ranks[0]!.results.map(({ method, cost }) => [method, cost.passes]);
    assert.deepEqual(passes, [
      ['exact', null],
      ['randomized', 8],
      ['nystrom', 1],
      ['column-row', 3],
    ]);
  });

  it('measures the error as the activations see it, also of a matrix that is stored as its transpose', async () => {
    // GPT-2 keeps W^T; the inputs have columns of very different sizes.
    const inputs = noise(N, N, 5).values.map((value, at) =>
      at % N < Math.floor(at / N) ? 0 : value * 0.7 ** (at % N),
    );
    const names = { plain: NAME, conv1d: 'h.0.attn.c_attn.weight' };
    const files = {
      plain: path,
      conv1d: writeMatrices(folder.path('gpt2.safetensors'), {
        'h.0.attn.c_attn.weight': { rows: N, cols: M, values: transpose(WEIGHT.values, M, N) },
      }),
    };
    const errors: number[] = [];
    for (const kind of ['plain', 'conv1d'] as const) {
      const [name, file] = [names[kind], files[kind]];
      const group = {
        name: name.replace('.weight', ''),
        matrices: { [name]: [M, N] as const },
        r: inputs,
        tokens: 100,
      };
      const activations = folder.path(`${kind}.activations.safetensors`);
      folder.write(`${kind}.activations.safetensors`, statisticsFile([group]));
      const found = await service.trial({
        path: file,
        tensors: [name],
        ranks: [5],
        methods: TRIAL_METHODS,
        activations,
        threads: 1,
      });
      assert.ok(valid(JSON.parse(JSON.stringify(found))), JSON.stringify(valid.errors));
      const [matrix] = found.matrices;
      assert.deepEqual(matrix!.shape, [M, N]);
      const seenBy = (entries: ArrayLike<number>) => norm(multiply(entries, transpose(inputs, N, N), M, N, N));
      near(matrix!.normOnActivations! / seenBy(WEIGHT.values), 1, 1e-5);
      for (const { method, onActivations } of matrix!.ranks[0]!.results) {
        const { residual } = await service.trialPictures({ path: file, name, method, rank: 5, threads: 1 });
        near(onActivations!, seenBy(residual) / seenBy(WEIGHT.values), 1e-5, `${kind} ${method}`);
        assert.ok(matrix!.ranks[0]!.leastOnActivations! <= onActivations! + 1e-6);
        if (method === 'exact') errors.push(onActivations!);
      }
      assert.equal(found.activations?.kind, 'full');
    }
    near(errors[1]!, errors[0]!, 1e-5);
  });

  it('says null for a matrix that the statistics do not cover', async () => {
    const other = 'model.embed_tokens.weight';
    const two = writeMatrices(folder.path('two.safetensors'), { [NAME]: WEIGHT, [other]: noise(20, N, 8) });
    const activations = folder.path('one.activations.safetensors');
    const group = { name: 'q', matrices: { [NAME]: [M, N] as const }, r: noise(N, N, 6).values, tokens: 100 };
    folder.write('one.activations.safetensors', statisticsFile([group]));
    const { matrices, notes } = await tried({ path: two, tensors: [], ranks: [3], methods: ['exact'], activations });
    assert.equal(matrices.length, 2);
    for (const { name, normOnActivations, ranks } of matrices) {
      const [{ leastOnActivations, results }] = ranks as [(typeof ranks)[0]];
      for (const value of [normOnActivations, leastOnActivations, results[0]!.onActivations])
        assert.equal(typeof value === 'number', name === NAME, name);
    }
    assert.match(notes.join(' '), /do not cover 1 of 2 matrices/);
  });
});

/** The largest eigenvalue of X^T X by power iteration in f64. */
function largestEigenvalue(entries: readonly number[], rows: number, cols: number): number {
  const gram = multiply(transpose(Float32Array.from(entries), rows, cols), entries, cols, rows, cols);
  let vector: Float64Array = new Float64Array(cols).fill(1);
  let value = 0;
  for (let step = 0; step < 2000; step++) {
    vector = multiply(gram, vector, cols, cols, 1);
    value = norm(vector);
    vector = vector.map((entry) => entry / value);
  }
  return value;
}

/** Numerical rank by elimination with complete pivoting in f64. */
function rankOf(entries: readonly number[], rows: number, cols: number): number {
  const rest = Float64Array.from(entries);
  const most = rest.reduce((so, entry) => Math.max(so, Math.abs(entry)), 0);
  for (let rank = 0; ; rank++) {
    let at = 0;
    for (const [k, entry] of rest.entries()) if (Math.abs(entry) > Math.abs(rest[at]!)) at = k;
    if (Math.abs(rest[at]!) <= 1e-5 * most) return rank;
    const [row, col, pivot] = [Math.floor(at / cols), at % cols, rest[at]!];
    const [column, line] = [
      Array.from({ length: rows }, (_, i) => rest[i * cols + col]!),
      rest.slice(row * cols, row * cols + cols),
    ];
    for (let i = 0; i < rows; i++)
      for (let j = 0; j < cols; j++) rest[i * cols + j]! -= (column[i]! * line[j]!) / pivot;
  }
}
