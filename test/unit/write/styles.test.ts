import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { seededRandom } from '../../../src/base/random.ts';
import { openCheckpoint } from '../../../src/checkpoint/open.ts';
import type { FactorStyle } from '../../../src/model/factorStyle.ts';
import { encode } from '../../../src/write/encode.ts';
import { writeFactorized } from '../../../src/write/factorized.ts';
import { pythonModule } from '../../../src/write/python.ts';
import { writeSafetensors } from '../../../src/write/safetensorsWriter.ts';
import { type Prepared, prepare, scratchFolder } from './written.ts';

const PYTHON = process.env.RANKSCOPE_PYTHON;

/** The model of style_cases.py. */
const SHAPES: Readonly<Record<string, readonly number[]>> = {
  'embed.weight': [12, 8],
  'attention.q_proj.weight': [12, 8],
  'attention.q_proj.bias': [12],
  'attention.o_proj.weight': [8, 12],
  'fc1.weight': [6, 8],
  'fc1.bias': [6],
  'conv.weight': [8, 3, 3, 3],
  'conv.bias': [8],
};
const LINEAR = ['attention.q_proj.weight', 'attention.o_proj.weight', 'fc1.weight'];
const ALL = ['embed.weight', ...LINEAR, 'conv.weight'];

/** The tensors that each style writes, with their shapes. */
const WRITTEN: Readonly<Record<Exclude<FactorStyle, 'rankscope'>, Readonly<Record<string, readonly number[]>>>> = {
  sequential: {
    'embed.0.weight': [12, 3],
    'embed.1.weight': [8, 3],
    'attention.q_proj.0.weight': [3, 8],
    'attention.q_proj.1.weight': [12, 3],
    'attention.q_proj.1.bias': [12],
    'attention.o_proj.0.weight': [3, 12],
    'attention.o_proj.1.weight': [8, 3],
    'fc1.0.weight': [3, 8],
    'fc1.1.weight': [6, 3],
    'fc1.1.bias': [6],
    'conv.0.weight': [3, 3, 3, 3],
    'conv.1.weight': [8, 3, 1, 1],
    'conv.1.bias': [8],
  },
  uv: {
    'attention.q_v_proj.weight': [3, 8],
    'attention.q_u_proj.weight': [12, 3],
    'attention.q_u_proj.bias': [12],
    'attention.o_v_proj.weight': [3, 12],
    'attention.o_u_proj.weight': [8, 3],
    'fc1_v_proj.weight': [3, 8],
    'fc1_u_proj.weight': [6, 3],
    'fc1_u_proj.bias': [6],
  },
  ab: {
    'attention.q_proj.BLinear.weight': [3, 8],
    'attention.q_proj.ALinear.weight': [12, 3],
    'attention.q_proj.ALinear.bias': [12],
    'attention.o_proj.BLinear.weight': [3, 12],
    'attention.o_proj.ALinear.weight': [8, 3],
    'fc1.BLinear.weight': [3, 8],
    'fc1.ALinear.weight': [6, 3],
    'fc1.ALinear.bias': [6],
  },
};
const STYLES = Object.keys(WRITTEN) as (keyof typeof WRITTEN)[];

describe('factors in the style of others', function () {
  this.timeout(120_000);
  const folder = scratchFolder();
  let prepared: Prepared;

  before(async () => {
    const random = seededRandom(5);
    const tensors = Object.entries(SHAPES).map(([name, shape]) => {
      const values = Float32Array.from({ length: shape.reduce((a, b) => a * b) }, () => random.normal() / 2);
      const bytes = encode(values, 'F32');
      return {
        name,
        dtype: 'F32',
        shape,
        bytes: bytes.length,
        async *content() {
          yield bytes;
        },
      };
    });
    const out = join(folder, 'dense.safetensors');
    await writeSafetensors({ out, tensors, metadata: new Map(), sources: [], overwrite: false });
    prepared = await prepare(out);
  });
  after(() => prepared.checkpoint.close());

  /** Every named matrix at rank 3. */
  const planOf = (names: readonly string[], factors: 2 | 3 = 2) =>
    prepared.plan({
      overrides: Object.fromEntries(ALL.map((name) => [name, names.includes(name) ? 3 : null])),
      factors,
    });
  const write = async (
    style: FactorStyle,
    names: readonly string[],
    { file = style as string, factors = 2 as 2 | 3 } = {},
  ) => {
    const [out, plan] = [join(folder, `${file}.safetensors`), await planOf(names, factors)];
    const report = await writeFactorized({ ...prepared, plan, out, style, overwrite: false });
    const { matrices } = prepared;
    writeFileSync(join(folder, `${file}.py`), pythonModule({ plan, matrices, weights: `${file}.safetensors`, style }));
    return report;
  };

  it('have their names and shapes, and the values and sizes of our own', async () => {
    const values = async (file: string) => {
      const checkpoint = await openCheckpoint(join(folder, `${file}.safetensors`));
      try {
        const read = checkpoint.tensors.map(async (tensor) => {
          const all = new Float32Array(tensor.shape.reduce((a, b) => a * b, 1));
          await tensor.read(0, all);
          return [tensor.name, { shape: tensor.shape, values: [...all] }] as const;
        });
        return new Map(await Promise.all(read));
      } finally {
        await checkpoint.close();
      }
    };
    for (const style of STYLES) {
      const names = style === 'sequential' ? ALL : LINEAR;
      const report = await write(style, names);
      const own = await write('rankscope', names, { file: `own-${style}` });
      assert.equal(report.parametersAfter, own.parametersAfter);
      assert.deepEqual(report.matrices, own.matrices);
      const [written, ours] = [await values(style), await values(`own-${style}`)];
      const carried = Object.keys(SHAPES).filter((name) => written.has(name));
      assert.deepEqual(
        Object.fromEntries(
          [...written].filter(([name]) => !carried.includes(name)).map(([name, { shape }]) => [name, shape]),
        ),
        WRITTEN[style],
      );
      const sorted = (all: typeof written) =>
        [...all.values()].flatMap((each) => each.values).toSorted((a, b) => a - b);
      assert.deepEqual(sorted(written), sorted(ours));
    }
  });

  it('are refused where a style has no layer for a matrix', async () => {
    await assert.rejects(
      write('uv', ALL, { file: 'none' }),
      /embed\.weight.*no layer for it: it is an embedding.*--exclude/,
    );
    await assert.rejects(
      write('ab', [...LINEAR, 'conv.weight'], { file: 'none' }),
      /conv\.weight.*it is a convolution/,
    );
    await assert.rejects(write('ab', LINEAR, { file: 'none', factors: 3 }), /two factors, the plan three.*--factors 2/);
  });

  it('load by generated code, and by classes of those who published the names', function () {
    if (!PYTHON) {
      this.test!.title += ' (RANKSCOPE_PYTHON names no Python)';
      return this.skip();
    }
    const printed = execFileSync(PYTHON, [resolve('test/python/style_cases.py'), folder], {
      encoding: 'utf8',
      env: { ...process.env, PYTHONDONTWRITEBYTECODE: '1', OMP_NUM_THREADS: '1' },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    assert.deepEqual(JSON.parse(printed), Object.fromEntries(STYLES.map((style) => [style, null])));
  });
});
