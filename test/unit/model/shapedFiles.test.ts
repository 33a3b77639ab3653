import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import fc from 'fast-check';
import { elementCount } from '../../../src/base/shape.ts';
import { jacobiSvd } from '../../../src/devices/reference/jacobi.ts';
import { dense } from '../../../src/devices/reference/qr.ts';
import { dimensionsOf } from '../../../src/model/layout/dimensions.ts';
import { layout, matricesIn } from '../../../src/model/layout/layout.ts';
import { anatomy } from '../../../src/model/names/anatomy.ts';
import { StoredMatrix } from '../../../src/model/storedMatrix.ts';
import { python } from '../formats/python.ts';
import { withCheckpoint } from '../formats/readAll.ts';
import { SHAPE_TRUTH } from './shapeTruth.ts';
import { stored, tensor } from './tensors.ts';

const PLACE = { layer: null, module: 'm', role: 'other', expert: null } as const;

describe('the rows of a matrix', () => {
  /** The entries of a tensor are their own positions. */
  const counting = (shape: readonly number[]) =>
    tensor('t', shape, {
      async read(start, out) {
        assert.ok(start >= 0 && start + out.length <= elementCount(shape));
        for (let k = 0; k < out.length; k++) out[k] = start + k;
      },
    });

  /** All positions of an index vector with the axes of one kind, row-major. */
  function positions(axes: readonly (readonly [string, number])[], kinds: readonly string[], fixed: number): number[] {
    let found = [fixed];
    let stride = elementCount(axes.map(([, size]) => size));
    for (const [kind, size] of axes) {
      stride /= size;
      const step = stride;
      if (kinds.includes(kind)) found = found.flatMap((at) => Array.from({ length: size }, (_, k) => at + k * step));
    }
    return found;
  }

  it('are its outputs or inputs, wherever the axes of a tensor are stored, read from any row on', async () => {
    const words = ['out in', 'in out', 'in out in', 'out in out', 'expert in out in', 'in layer out', 'head out in in'];
    const property = fc.asyncProperty(
      fc.constantFrom(...words),
      fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 4, maxLength: 4 }),
      fc.nat(),
      fc.nat(),
      async (axes, sizes, from, length) => {
        const found = layout(axes, sizes);
        const shape = found.axes.map(([, size]) => size);
        const stacked = found.axes.map(([kind]) => kind).filter((kind) => kind !== 'in' && kind !== 'out');
        const starts = positions(found.axes, stacked, 0);
        const matrices = matricesIn(found).map((each) => new StoredMatrix(counting(shape), each, PLACE, null));
        assert.equal(matrices.length, starts.length);
        for (const [k, matrix] of matrices.entries()) {
          const { rows, cols } = matrix;
          const [along, across] = matrix.transposed ? ['in', 'out'] : ['out', 'in'];
          const rowStarts = positions(found.axes, [along!], starts[k]!);
          const whole = rowStarts.flatMap((at) => positions(found.axes, [across!], at));
          assert.deepEqual([rows, cols], [rowStarts.length, whole.length / rowStarts.length]);
          const row = from % rows;
          const count = 1 + (length % (rows - row));
          const out = new Float32Array(count * cols);
          await matrix.source().read(row, out);
          assert.deepEqual([...out], whole.slice(row * cols, (row + count) * cols));
        }
      },
    );
    await fc.assert(property, { seed: 7, numRuns: 300 });
  });

  it('are part of its identity: a tensor read in another order has other cached results', () => {
    const [one] = matricesIn(layout('out in', [8, 6]));
    const [other] = matricesIn(layout('in out in', [2, 8, 3]));
    const identities = [one!, other!].map((each) => new StoredMatrix(tensor('t', [48]), each, PLACE, null).identity());
    assert.notDeepEqual(identities[0], identities[1]);
  });
});

describe('files whose shapes alone do not say what they hold (../shared/cases)', () => {
  const root = resolve(process.env.RANKSCOPE_CASES ?? '../shared/cases');

  it('hold the matrices that numpy and torch make of them: names, shapes and singular values', async function () {
    this.timeout(120_000);
    if (!existsSync(root)) {
      this.test!.title += ` [skipped: missing ${root}]`;
      this.skip();
    }
    const modules = ['numpy', 'torch', 'safetensors', 'gguf'];
    const truth = python(this, modules, SHAPE_TRUTH, root) as Record<string, Record<string, [number[], number[]]>>;
    for (const [file, expected] of Object.entries(truth))
      await withCheckpoint(join(root, file), async ({ tensors, configuration, metadata }) => {
        const matrices = stored(anatomy(tensors, new Map(), dimensionsOf(configuration, metadata)).matrices);
        const shapes = (of: readonly (readonly [string, readonly number[]])[]) =>
          Object.fromEntries(of.map(([name, shape]) => [name, shape.join(' x ')]));
        assert.deepEqual(
          shapes(matrices.map(({ name, shape }) => [name, shape])),
          shapes(Object.entries(expected).map(([name, [shape]]) => [name, shape])),
          file,
        );
        for (const matrix of matrices) {
          const { rows, cols, name } = matrix;
          const entries = new Float32Array(rows * cols);
          await matrix.source().read(0, entries);
          const { values } = await jacobiSvd(dense(rows, cols, Float64Array.from(entries)));
          const [largest = 0] = values;
          for (const [k, value] of expected[name]![1].entries())
            assert.ok(Math.abs(values[k]! - value) <= 1e-6 * largest, `${file} ${name}: ${values[k]} for ${value}`);
        }
      });
  });
});
