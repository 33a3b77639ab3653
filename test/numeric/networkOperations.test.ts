import assert from 'node:assert/strict';
import { seededRandom } from '../../src/base/random.ts';
import type { Activation, Backend, Matrix, NetworkOperations } from '../../src/devices/backend.ts';
import { createReferenceBackend } from '../../src/devices/reference/backend.ts';
import { SUMMARY } from '../../src/devices/rowSummaries.ts';
import { BACKENDS } from './backends.ts';
import { onDevice, taken } from './device.ts';

/** A matrix that an operation works on, and whether its result counts. */
interface Operand {
  readonly rows: number;
  readonly cols: number;
  /** Factor of standard normal entries; 1 by default. */
  readonly size?: number;
}

interface Case {
  readonly name: string;
  readonly operands: readonly Operand[];
  /** Works on the operands, of which the first takes the result. */
  readonly run: (network: NetworkOperations, operands: readonly Matrix[]) => Promise<void>;
}

const vector = (length: number, seed: number): Float32Array => Float32Array.from({ length }, seededRandom(seed).normal);
const ACTIVATIONS: readonly Activation[] = ['silu', 'gelu', 'geluTanh', 'quickGelu', 'relu', 'squaredRelu'];
/** Of a row of odd length, so that no kernel gets by without its tail. */
const ODD = { rows: 37, cols: 67 };
/** Enough entries for all threads. */
const LARGE = { rows: 700, cols: 96 };

function attentionCase(
  name: string,
  [heads, keyHeads, headSize]: readonly [number, number, number],
  spans: Parameters<NetworkOperations['attend']>[2]['spans'],
  options: { readonly window?: number; readonly softCap?: number; readonly size?: number } = {},
): Case {
  const rows = Math.max(...spans.map((span) => span.row + span.rows));
  const keys = Math.max(...spans.map((span) => span.keyRow + span.keys));
  const { size = 1, window = null, softCap = null } = options;
  return {
    name: `attention ${name}`,
    operands: [
      { rows, cols: heads * headSize },
      { rows, cols: heads * headSize, size },
      { rows: keys, cols: keyHeads * headSize, size },
      { rows: keys, cols: keyHeads * headSize },
    ],
    run: (network, [result, query, key, value]) =>
      network.attend(
        result!,
        { query: query!, key: key!, value: value! },
        { heads, keyHeads, headSize, scale: headSize ** -0.5, softCap, window, spans },
      ),
  };
}

const whole = (rows: number, row = 0) => ({ row, rows, keyRow: row, keys: rows });

const CASES: readonly Case[] = [
  ...(['rms', 'layer'] as const).flatMap((kind): Case[] =>
    [67, 96].map((size) => ({
      name: `${kind} norm of ${size} entries`,
      operands: size === 67 ? [ODD, { ...ODD, size: 100 }] : [LARGE, LARGE],
      run: (network, [result, x]) =>
        network.normalize(result!, x!, {
          kind,
          weight: vector(size, 1),
          bias: kind === 'layer' ? vector(size, 2) : undefined,
          epsilon: 1e-5,
        }),
    })),
  ),
  {
    name: 'rms norm of each head, in place',
    operands: [LARGE],
    run: (network, [x]) => network.normalize(x!, x!, { kind: 'rms', weight: vector(24, 3), epsilon: 1e-6 }),
  },
  {
    name: 'layer norm of each head, with weights of its own',
    operands: [LARGE],
    run: (network, [x]) =>
      network.normalize(x!, x!, { kind: 'layer', weight: vector(96, 3), bias: vector(96, 5), epsilon: 1e-6, size: 24 }),
  },
  ...ACTIVATIONS.flatMap((activation): Case[] => [
    {
      name: activation,
      operands: [{ ...ODD, size: 4 }],
      run: (network, [x]) => network.activate(x!, activation),
    },
    {
      name: `${activation} times a factor`,
      operands: [LARGE, LARGE],
      run: (network, [x, factor]) => network.activate(x!, activation, factor),
    },
  ]),
  { name: 'scale', operands: [ODD], run: (network, [x]) => network.rescale(x!, -0.3) },
  { name: 'scale and cap', operands: [{ ...LARGE, size: 40 }], run: (network, [x]) => network.rescale(x!, 0.5, 30) },
  {
    name: 'cap of small entries',
    operands: [{ ...ODD, size: 0.01 }],
    run: (network, [x]) => network.rescale(x!, 1, 50),
  },
  { name: 'sum', operands: [LARGE, LARGE], run: (network, [x, y]) => network.add(x!, y!, 0.22) },
  { name: 'bias', operands: [ODD], run: (network, [x]) => network.addToRows(x!, vector(67, 4)) },
  {
    name: 'second half of each row',
    operands: [{ rows: 700, cols: 48 }, LARGE],
    run: (network, [half, x]) => network.pick(half!, x!, { size: 48, from: 48, step: 48 }),
  },
  {
    name: 'every third stretch',
    operands: [
      { rows: 37, cols: 20 },
      { rows: 37, cols: 60 },
    ],
    run: (network, [part, x]) => network.pick(part!, x!, { size: 5, from: 10, step: 15 }),
  },
  {
    name: 'rotation of a part of each head, in some rows',
    operands: [{ rows: 300, cols: 120 }],
    run: (network, [x]) =>
      network.rotate(x!, {
        row: 20,
        rows: 250,
        headSize: 40,
        half: 13,
        cosines: vector(250 * 13, 5).map(Math.cos),
        sines: vector(250 * 13, 5).map(Math.sin),
      }),
  },
  attentionCase('of two texts', [4, 4, 24], [whole(130), whole(70, 130)]),
  attentionCase('with shared keys, over several blocks of keys', [4, 2, 8], [whole(530)]),
  attentionCase('with one key head for many', [10, 1, 8], [whole(50)]),
  attentionCase('in a sliding window', [2, 1, 8], [whole(560)], { window: 90 }),
  attentionCase('with capped scores', [2, 2, 16], [whole(60)], { softCap: 5, size: 4 }),
  attentionCase('with large scores', [1, 1, 16], [whole(530)], { size: 8 }),
  attentionCase('of the last of many positions', [4, 2, 16], [{ row: 0, rows: 3, keyRow: 0, keys: 610 }]),
];

/** The result of a case, on matrices of its own. */
async function resultOf(backend: Backend, { operands, run }: Case): Promise<Float32Array> {
  const matrices: Matrix[] = [];
  for (const [k, { rows, cols, size = 1 }] of operands.entries())
    matrices.push(
      await onDevice(
        backend,
        vector(rows * cols, 10 + k).map((entry) => entry * size),
        rows,
        cols,
      ),
    );
  try {
    await run(backend.network, matrices);
    return await taken(backend, matrices[0]!);
  } finally {
    for (const matrix of matrices) backend.free(matrix);
  }
}

describe('operations of a network', () => {
  const reference = createReferenceBackend();
  after(() => reference.close());

  for (const { name, open } of BACKENDS)
    describe(`on ${name}`, function () {
      this.timeout(120_000);
      let backend: Backend;
      before(async () => {
        backend = await open();
      });
      after(() => backend?.close());

      for (const one of CASES)
        it(`${one.name} agrees with float64`, async () => {
          const [own, truth] = [await resultOf(backend, one), await resultOf(reference, one)];
          // Some roundings of f32, and the depth of a dot product.
          const bound = 1e-5 * truth.reduce((most, entry) => Math.max(most, Math.abs(entry)), 0);
          for (const [i, value] of truth.entries())
            assert.ok(Math.abs(own[i]! - value) <= bound, `entry ${i} is ${own[i]}, not ${value}`);
        });

      for (const [rows, cols, size] of [
        [37, 67, 5],
        [300, 130, 40],
      ] as const)
        it(`summaries of ${rows} rows of ${cols} logits agree with float64`, async () => {
          const targets = Int32Array.from({ length: rows }, (_, row) => (row % 3 === 0 ? -1 : row % cols));
          const logits = [20, 21].map((seed) => vector(rows * cols, seed).map((entry) => entry * size));
          // The largest twice in a row, and a row with an entry that is not finite.
          logits[0]!.fill(9 * size, cols + 3, cols + 5);
          logits[0]![3 * cols - 1] = Number.NEGATIVE_INFINITY;
          const summaries = async (device: Backend) => {
            const own = await onDevice(device, logits[0]!, rows, cols);
            const other = await onDevice(device, logits[1]!, rows, cols);
            const found = await device.network.summarizeRows(own, targets, other);
            for (const matrix of [own, other]) device.free(matrix);
            return found;
          };
          const [found, truth] = [await summaries(backend), await summaries(reference)];
          assert.equal(found.length, rows * SUMMARY.size);
          assert.equal(truth[SUMMARY.size + SUMMARY.top], 3);
          for (const [i, value] of truth.entries()) {
            if (Math.floor(i / SUMMARY.size) === 2) continue;
            const bound = 1e-6 * Math.max(1, Math.abs(value)) * Math.log2(cols);
            assert.ok(Math.abs(found[i]! - value) <= bound, `number ${i} is ${found[i]}, not ${value}`);
          }
          for (const all of [found, truth]) assert.ok(Number.isNaN(all[2 * SUMMARY.size + SUMMARY.largest]!));
        });

      it('attention that is cancelled rejects, and leaves the device usable', async () => {
        const one = attentionCase('', [8, 8, 64], [whole(64)]);
        const controller = new AbortController();
        controller.abort();
        const run: Case['run'] = (network, [result, query, key, value]) =>
          network.attend(
            result!,
            { query: query!, key: key!, value: value! },
            {
              ...{ heads: 8, keyHeads: 8, headSize: 64, scale: 1, softCap: null, window: null },
              ...{ spans: [whole(64)], signal: controller.signal },
            },
          );
        await assert.rejects(resultOf(backend, { ...one, run }), { code: 'cancelled' });
        await resultOf(backend, one);
      });
    });
});
