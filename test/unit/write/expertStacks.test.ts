import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { seededRandom } from '../../../src/base/random.ts';
import { openCheckpoint } from '../../../src/checkpoint/open.ts';
import type { PlanRequest } from '../../../src/model/plan/plan.ts';
import { writeFactorized } from '../../../src/write/factorized.ts';
import { readAll } from '../formats/readAll.ts';
import { fileOf, type Stored } from '../formats/storedFile.ts';
import { prepare, scratchFolder } from './written.ts';

const [EXPERTS, WIDTH, INNER] = [3, 12, 20];
const UP = 'model.layers.0.mlp.experts.gate_up_proj';
const DOWN = 'model.layers.0.mlp.experts.down_proj';

describe('experts in one tensor', () => {
  const folder = scratchFolder();
  const random = seededRandom(3);
  const floats = (...shape: number[]): Stored => ({
    dtype: 'F32',
    shape,
    data: Float32Array.from({ length: shape.reduce((a, b) => a * b) }, () => random.normal()),
  });
  const values = ({ data }: Stored) => data as Float32Array;
  const up = floats(EXPERTS, INNER, WIDTH);
  /** As gpt-oss stores them: inputs first, which the biases tell. */
  const turned = floats(EXPERTS, WIDTH, INNER);
  const down = floats(EXPERTS, INNER, WIDTH);

  async function write(name: string, tensors: Record<string, Stored>, request: Partial<PlanRequest>) {
    const path = join(folder, `${name}.safetensors`);
    writeFileSync(path, fileOf(tensors));
    const source = await prepare(path);
    const plan = await source.plan({ budget: { kind: 'keep', value: 1 }, exclude: ['*'], ...request });
    const out = join(folder, `${name}.low.safetensors`);
    const report = await writeFactorized({ ...source, plan, out, overwrite: true });
    await source.checkpoint.close();
    const written = await openCheckpoint(out);
    const found = await readAll(written);
    const { metadata, tensors: all } = written;
    await written.close();
    return { report, found, metadata, types: new Map(all.map((each) => [each.name, each.dtype])) };
  }

  it('have a place of their own each, with factors or a weight, and nothing is stored twice', async () => {
    const ranks = { [`${UP}[0]`]: 2, [`${UP}[2]`]: 5 };
    const { found, metadata, report } = await write('out in', { [UP]: up }, { overrides: ranks });
    assert.deepEqual(Object.keys(found).sort(), [
      `${UP}.experts.0.lowrank_a.weight`,
      `${UP}.experts.0.lowrank_b.weight`,
      `${UP}.experts.1.weight`,
      `${UP}.experts.2.lowrank_a.weight`,
      `${UP}.experts.2.lowrank_b.weight`,
    ]);
    const size = INNER * WIDTH;
    assert.deepEqual(found[`${UP}.experts.1.weight`], [...values(up).subarray(size, 2 * size)]);
    for (const { name, measuredError, predictedError } of report.matrices) {
      assert.ok(Math.abs(measuredError - predictedError) < 1e-6, name);
      assert.ok(name in ranks);
    }
    assert.deepEqual(JSON.parse(metadata.get('rankscope.ranks')!), ranks);
    assert.deepEqual(JSON.parse(metadata.get('rankscope.stacks')!), {
      [UP]: { shape: [EXPERTS, INNER, WIDTH], transposed: false },
    });
    assert.equal(metadata.get('rankscope.stored'), undefined);
  });

  it('are written as (out, in), however they are stored', async () => {
    const bias = floats(EXPERTS, INNER);
    const tensors = { [UP]: turned, [`${UP}_bias`]: bias };
    const { found, metadata } = await write('in out', tensors, { overrides: { [`${UP}[1]`]: 3 } });
    const weight = found[`${UP}.experts.2.weight`]!;
    for (let row = 0; row < INNER; row++)
      for (let col = 0; col < WIDTH; col++)
        assert.equal(weight[row * WIDTH + col], values(turned)[2 * INNER * WIDTH + col * INNER + row]);
    assert.equal(found[`${UP}.experts.1.lowrank_a.weight`]!.length, 3 * WIDTH);
    assert.equal(found[`${UP}.experts.1.lowrank_b.weight`]!.length, INNER * 3);
    assert.deepEqual(found[`${UP}_bias`], [...values(bias)]);
    const { transposed } = (JSON.parse(metadata.get('rankscope.stacks')!) as Record<string, { transposed: boolean }>)[
      UP
    ]!;
    assert.equal(transposed, true);
  });

  it('stay one tensor where no expert of it is cut', async () => {
    const { found } = await write('two', { [UP]: up, [DOWN]: down }, { overrides: { [`${UP}[0]`]: 1 } });
    assert.deepEqual(found[DOWN], [...values(down)]);
  });

  it('keep the bytes of 8-bit floats in the experts that stay dense', async () => {
    const data = Uint8Array.from({ length: EXPERTS * INNER * WIDTH }, (_, at) => 0x30 + (at % 16));
    const codes: Stored = { dtype: 'F8_E4M3', shape: [EXPERTS, INNER, WIDTH], data };
    const { types, found } = await write('small', { [UP]: codes }, { overrides: { [`${UP}[0]`]: 1 } });
    assert.equal(types.get(`${UP}.experts.1.weight`), 'F8_E4M3');
    assert.equal(types.get(`${UP}.experts.0.lowrank_a.weight`), 'BF16');
    assert.equal(found[`${UP}.experts.2.weight`]!.length, INNER * WIDTH);
  });

  it('are turned where transformers turns them as it decodes them, whole or one by one', async () => {
    const [inner, width] = [8, 64];
    const groups = [EXPERTS, inner, width / 32];
    const count = (shape: readonly number[]) => shape.reduce((a, b) => a * b);
    const codes = Uint8Array.from({ length: count(groups) * 16 }, (_, at) => (37 * at + 11) % 256);
    const parts = (name: string, exponent: number): Record<string, Stored> => ({
      [`${name}_blocks`]: { dtype: 'U8', shape: [...groups, 16], data: codes },
      [`${name}_scales`]: { dtype: 'U8', shape: groups, data: new Uint8Array(count(groups)).fill(exponent) },
    });
    const tensors = { ...parts(UP, 127), ...parts(DOWN, 128) };
    const { found, metadata } = await write('mxfp4', tensors, { overrides: { [`${UP}[0]`]: 1 } });
    // The pair of codes in a byte, low bits first: E2M1 of the OCP specification.
    const values = [0, 0.5, 1, 1.5, 2, 3, 4, 6];
    const decoded = [...codes].flatMap((byte) =>
      [byte & 15, byte >> 4].map((code) => (code < 8 ? values[code]! : -values[code - 8]!)),
    );
    for (let expert = 0; expert < EXPERTS; expert++)
      for (let row = 0; row < inner; row++)
        for (let col = 0; col < width; col++) {
          const value = decoded[(expert * inner + row) * width + col]!;
          assert.equal(found[DOWN]![(expert * width + col) * inner + row], 2 * value);
          if (expert > 0) assert.equal(found[`${UP}.experts.${expert}.weight`]![row * width + col], value);
        }
    assert.deepEqual(JSON.parse(metadata.get('rankscope.stacks')!), {
      [UP]: { shape: [EXPERTS, width, inner], transposed: true },
    });
  });

  it('may have three factors each', async () => {
    const { found } = await write('three', { [UP]: up }, { overrides: { [`${UP}[1]`]: 2 }, factors: 3 });
    assert.deepEqual(
      ['svd_u', 'svd_s', 'svd_v'].map((part) => found[`${UP}.experts.1.${part}`]!.length),
      [2 * INNER, 2, 2 * WIDTH],
    );
  });

  it('are refused as others are where the plan does not fit', async () => {
    const path = join(folder, 'other.safetensors');
    writeFileSync(path, fileOf({ [UP]: up }));
    const source = await prepare(path);
    const request = { budget: { kind: 'keep', value: 1 }, exclude: ['*'], overrides: { [`${UP}[1]`]: 2 } } as const;
    const plan = await source.plan(request);
    const changed = (change: object) => ({
      ...plan,
      matrices: plan.matrices.map((each) => (each.rank === null ? each : { ...each, ...change })),
    });
    const out = join(folder, 'none.safetensors');
    const apply = (own: typeof plan, more = {}) =>
      writeFactorized({ ...source, plan: own, out, overwrite: false, ...more });
    await assert.rejects(apply(changed({ name: `${UP}[7]` })), /gate_up_proj\[7\].*the checkpoint does not/);
    await assert.rejects(apply(changed({ shape: [WIDTH, INNER] })), /gate_up_proj\[1\].*20 x 12, in the plan 12 x 20/);
    await assert.rejects(apply(changed({ rank: 8 })), /rank 8 is above break-even \(7\)/);
    await assert.rejects(apply(changed({ shared: 'all' })), /expert of a stack, and these share no factors/);
    await assert.rejects(apply(plan, { style: 'uv' }), /expert of a stack.*--exclude '.*gate_up_proj\*'/);
    await source.checkpoint.close();
  });
});
