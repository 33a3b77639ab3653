import assert from 'node:assert/strict';
import { TRIAL_METHODS, type TrialRequest } from '../../../../src/model/trial.ts';
import { createService } from '../../../../src/service/service.ts';
import { testFolder } from '../../formats/folder.ts';
import { rejectsWith } from '../../formats/rejectsWith.ts';
import { f32File } from '../../formats/safetensorsBytes.ts';
import { noise, type TestMatrix, writeMatrices } from '../matrices.ts';

const zeros = (rows: number, cols: number): TestMatrix => ({ rows, cols, values: new Float32Array(rows * cols) });

describe('what a trial does at the edges', function () {
  this.timeout(60_000);
  const folder = testFolder();
  let service: ReturnType<typeof createService>;
  before(() => {
    service = createService({});
  });
  after(() => service.close());
  const tried = (path: string, request: Partial<TrialRequest> = {}) =>
    service.trial({ path, ranks: [2], methods: TRIAL_METHODS, threads: 1, ...request });

  it('is to try very small, wide and tall matrices, and to lose nothing at full rank', async () => {
    const shapes = { small: [2, 2], wide: [3, 200], tall: [200, 3] } as const;
    const matrices = Object.fromEntries(Object.entries(shapes).map(([name, [m, n]]) => [name, noise(m, n, m + n)]));
    const path = writeMatrices(folder.path('shapes.safetensors'), matrices);
    for (const [name, [m, n]] of Object.entries(shapes)) {
      const rank = Math.min(m, n);
      const found = await tried(path, { tensors: [name], ranks: [rank] });
      for (const { error } of found.matrices[0]!.ranks[0]!.results) assert.ok(error < 1e-4, `${name} ${error}`);
      const { original } = await service.trialPictures({ path, name, method: 'exact', rank, threads: 1, tiles: 200 });
      assert.equal(original.length, m * n);
    }
  });

  it('is to find no error in a matrix of zeros', async () => {
    const path = writeMatrices(folder.path('zeros.safetensors'), { w: zeros(20, 12) });
    const { matrices } = await tried(path);
    for (const { error, predicted, residual } of matrices[0]!.ranks[0]!.results)
      assert.deepEqual([error, predicted.error, predicted.band, residual.spectralNorm], [0, 0, [0, 0], 0]);
    const { largest } = await service.trialPictures({ path, name: 'w', method: 'nystrom', rank: 2, threads: 1 });
    assert.equal(largest, 0);
  });

  it('is to leave a rank out where a matrix cannot have it, and to refuse one that none can have', async () => {
    const path = writeMatrices(folder.path('sizes.safetensors'), {
      'a.weight': noise(30, 20, 1),
      'b.weight': noise(9, 8, 2),
    });
    const { matrices, skipped, notes } = await tried(path, { ranks: [4, 12], methods: ['exact'] });
    assert.deepEqual(
      matrices.map(({ name, ranks }) => [name, ranks.map(({ rank }) => rank)]),
      [
        ['a.weight', [4, 12]],
        ['b.weight', [4]],
      ],
    );
    assert.deepEqual(skipped, []);
    assert.match(notes.join(' '), /1 of 2 matrices are too small/);
    const some = await tried(path, { ranks: [12], methods: ['exact'] });
    assert.deepEqual(some.skipped, [{ name: 'b.weight', reason: 'rank 12 of a 9 x 8 matrix' }]);
    await rejectsWith(tried(path, { ranks: [21] }), 'wrong-use', /rank 21 of a 30 x 20 matrix/);
    await rejectsWith(
      service.trialPictures({ path, name: 'b.weight', method: 'exact', rank: 9, threads: 1 }),
      'wrong-use',
      /rank 9 of a 9 x 8 matrix/,
    );
  });

  it('is to skip a matrix with NaN by name, or to fail with its position if it is the only one', async () => {
    const broken = noise(10, 10, 1);
    broken.values[37] = Number.NaN;
    const path = writeMatrices(folder.path('nan.safetensors'), { 'a.weight': broken, 'b.weight': noise(10, 10, 2) });
    const { matrices, skipped } = await tried(path);
    assert.deepEqual([matrices.map(({ name }) => name), skipped.map(({ name }) => name)], [['b.weight'], ['a.weight']]);
    await assert.rejects(tried(path, { tensors: ['a.weight'] }), { code: 'not-finite', subject: 'a.weight' });
  });

  it('is to name what a glob matches if it is no matrix, and to say if it matches nothing', async () => {
    const path = folder.path('vector.safetensors');
    folder.write(
      'vector.safetensors',
      f32File({
        'norm.weight': { shape: [6], values: [1, 2, 3, 4, 5, 6] },
        'a.weight': { shape: [2, 3], values: [1, 2, 3, 4, 5, 6] },
      }),
    );
    await rejectsWith(tried(path, { tensors: ['norm.*'] }), 'wrong-use', /norm\.weight is not tried/);
    await rejectsWith(tried(path, { tensors: ['x*'] }), 'wrong-use', /none of its 1 matrices matches x\*/);
  });

  it('is to try the kernels of a convolution and each expert of a stack as matrices of their own', async () => {
    const path = folder.path('stacks.safetensors');
    const values = (count: number, seed: number) => Array.from(noise(1, count, seed).values);
    folder.write(
      'stacks.safetensors',
      f32File({
        'conv.weight': { shape: [8, 3, 3, 3], values: values(216, 1) },
        'model.layers.0.mlp.experts.gate_up_proj': { shape: [2, 6, 10], values: values(120, 2) },
      }),
    );
    const { matrices } = await tried(path);
    const shapes = Object.fromEntries(matrices.map(({ name, shape }) => [name, shape]));
    assert.deepEqual(shapes['conv.weight'], [8, 27]);
    const experts = matrices.filter(({ name }) => name.includes('experts'));
    assert.deepEqual(
      experts.map(({ name }) => name.slice(-3)),
      ['[0]', '[1]'],
    );
    for (const { ranks } of matrices)
      for (const { method, error } of ranks[0]!.results)
        if (method === 'exact') assert.ok(Math.abs(error - ranks[0]!.leastError) < 1e-6);
    const [second] = (await tried(path, { tensors: ['model.layers.0.mlp.experts.gate_up_proj[1]'] })).matrices;
    assert.equal(second!.expert, 1);
  });

  it('is to refuse options out of range and regions outside the matrix', async () => {
    const path = writeMatrices(folder.path('plain.safetensors'), { w: noise(12, 10, 1) });
    const wrong: Partial<TrialRequest>[] = [
      { ranks: [] },
      { ranks: [0] },
      { ranks: [1.5] },
      { ranks: Array.from({ length: 17 }, (_, i) => i + 1) },
      { methods: [] },
      { oversampling: -1 },
      { powerIterations: 21 },
      { probes: 7 },
      { seed: 0.5 },
    ];
    for (const request of wrong) await rejectsWith(tried(path, request), 'wrong-use', /./);
    const picture = { path, name: 'w', method: 'exact', rank: 2, threads: 1 } as const;
    for (const region of [
      { row: 0, col: 0, rows: 13, cols: 1 },
      { row: -1, col: 0, rows: 1, cols: 1 },
      { row: 0, col: 0, rows: 0, cols: 1 },
      { row: 0, col: 9, rows: 1, cols: 2 },
    ])
      await rejectsWith(service.trialPictures({ ...picture, region }), 'wrong-use', /12 x 10 matrix/);
    for (const tiles of [0, 513]) await rejectsWith(service.trialPictures({ ...picture, tiles }), 'wrong-use', /tiles/);
    await rejectsWith(service.trialPictures({ ...picture, name: 'x' }), 'wrong-use', /no such matrix/);
  });

  it('is to show a region in tiles, down to entries, the same for a matrix that is stored as its transpose', async () => {
    const own = noise(48, 36, 3);
    const turned = { rows: 36, cols: 48, values: new Float32Array(48 * 36) };
    for (let i = 0; i < 48; i++) for (let j = 0; j < 36; j++) turned.values[j * 48 + i] = own.values[i * 36 + j]!;
    const files = {
      'model.layers.0.self_attn.q_proj.weight': writeMatrices(folder.path('own.safetensors'), {
        'model.layers.0.self_attn.q_proj.weight': own,
      }),
      'h.0.attn.c_attn.weight': writeMatrices(folder.path('turned.safetensors'), { 'h.0.attn.c_attn.weight': turned }),
    };
    for (const [name, path] of Object.entries(files)) {
      const ask = (region: object, tiles: number) =>
        service.trialPictures({ path, name, method: 'exact', rank: 36, threads: 1, tiles, ...region });
      const all = await ask({}, 6);
      assert.deepEqual([all.height, all.width, all.tileRows, all.tileCols, all.shows], [6, 6, 8, 6, 'rms']);
      const square = own.values
        .subarray(0, 8 * 36)
        .reduce((sum, entry, at) => sum + (at % 36 < 6 ? entry * entry : 0), 0);
      assert.ok(Math.abs(all.original[0]! - Math.sqrt(square / 48)) < 1e-5);
      assert.ok(all.residual.every((value) => value < 1e-4 * all.largest));
      const part = await ask({ region: { row: 40, col: 30, rows: 8, cols: 6 } }, 8);
      assert.equal(part.shows, 'entry');
      const entries = Array.from(
        { length: 48 },
        (_, at) => own.values[(40 + Math.floor(at / 6)) * 36 + 30 + (at % 6)]!,
      );
      assert.deepEqual(part.original, entries);
      assert.equal(part.largest >= Math.max(...entries.map(Math.abs)), true);
    }
  });

  it('is to stop when it is cancelled, at once', async () => {
    const path = writeMatrices(folder.path('large.safetensors'), { w: noise(600, 600, 1) });
    const abort = new AbortController();
    const running = service.trial(
      { path, ranks: [50, 100], threads: 1 },
      { signal: abort.signal, progress: () => abort.abort() },
    );
    await assert.rejects(running, { code: 'cancelled' });
    const { matrices } = await tried(path, { methods: ['randomized'] });
    assert.equal(matrices.length, 1);
  });
});
