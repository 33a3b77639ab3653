import assert from 'node:assert/strict';
import { seededRandom } from '../../src/base/random.ts';
import type { Activation, Backend, Matrix, NetworkOperations, NormGradient } from '../../src/devices/backend.ts';
import { createReferenceBackend } from '../../src/devices/reference/backend.ts';
import { BACKENDS } from './backends.ts';
import { onDevice, taken } from './device.ts';

interface Operand {
  readonly rows: number;
  readonly cols: number;
  /** Factor of standard normal entries; 1 by default. */
  readonly size?: number;
  /** Whether entries are squared, as second moments are. */
  readonly squared?: boolean;
}

interface Case {
  readonly name: string;
  readonly operands: readonly Operand[];
  /** Returns numbers that count as results beside the operands, all of which are compared. */
  readonly run: (network: NetworkOperations, operands: readonly Matrix[]) => Promise<readonly number[]>;
}

const vector = (length: number, seed: number): Float32Array => Float32Array.from({ length }, seededRandom(seed).normal);
const ACTIVATIONS: readonly Activation[] = ['silu', 'gelu', 'geluTanh', 'quickGelu', 'relu', 'squaredRelu'];
/** Of a row of odd length, so that no kernel gets by without its tail. */
const ODD = { rows: 37, cols: 67 };
/** Enough entries for all threads. */
const LARGE = { rows: 750, cols: 96 };
const numbersOf = ({ weight, bias = new Float64Array() }: NormGradient) => [...weight, ...bias];
const none: readonly number[] = [];

function attentionCase(
  name: string,
  [heads, keyHeads, headSize]: readonly [number, number, number],
  spans: Parameters<NetworkOperations['attend']>[2]['spans'],
  options: { readonly window?: number; readonly softCap?: number; readonly size?: number } = {},
): Case {
  const rows = Math.max(...spans.map((span) => span.row + span.rows));
  const keys = Math.max(...spans.map((span) => span.keyRow + span.keys));
  const { size = 1, window = null, softCap = null } = options;
  const [wide, narrow] = [
    { rows, cols: heads * headSize },
    { rows: keys, cols: keyHeads * headSize },
  ];
  return {
    name: `attention ${name}`,
    operands: [wide, narrow, narrow, wide, { ...wide, size }, { ...narrow, size }, narrow],
    async run(network, [ofQuery, ofKey, ofValue, gradient, query, key, value]) {
      await network.attendBack(
        { query: ofQuery!, key: ofKey!, value: ofValue! },
        gradient!,
        { query: query!, key: key!, value: value! },
        { heads, keyHeads, headSize, scale: headSize ** -0.5, softCap, window, spans },
      );
      return none;
    },
  };
}

const whole = (rows: number, row = 0) => ({ row, rows, keyRow: row, keys: rows });

const CASES: readonly Case[] = [
  ...(['rms', 'layer'] as const).flatMap((kind): Case[] =>
    [67, 96].map((size) => ({
      name: `${kind} norm of ${size} entries`,
      operands: size === 67 ? [ODD, { ...ODD, size: 100 }] : [LARGE, LARGE],
      run: async (network, [gradient, x]) =>
        numbersOf(
          await network.normalizeBack(gradient!, x!, {
            kind,
            weight: vector(size, 1),
            bias: kind === 'layer' ? vector(size, 2) : undefined,
            epsilon: 1e-5,
          }),
        ),
    })),
  ),
  {
    name: 'rms norm of each head',
    operands: [LARGE, LARGE],
    run: async (network, [gradient, x]) =>
      numbersOf(await network.normalizeBack(gradient!, x!, { kind: 'rms', weight: vector(24, 3), epsilon: 1e-6 })),
  },
  {
    name: 'layer norm of each head, with weights of its own',
    operands: [LARGE, LARGE],
    run: async (network, [gradient, x]) => {
      const norm = { kind: 'layer', weight: vector(96, 3), bias: vector(96, 5), epsilon: 1e-6, size: 24 } as const;
      return numbersOf(await network.normalizeBack(gradient!, x!, norm));
    },
  },
  ...ACTIVATIONS.flatMap((activation): Case[] => [
    {
      name: activation,
      operands: [ODD, { ...ODD, size: 4 }],
      async run(network, [gradient, x]) {
        await network.activateBack(gradient!, x!, activation);
        return none;
      },
    },
    {
      name: `${activation} times a factor`,
      operands: [LARGE, LARGE, LARGE, LARGE],
      async run(network, [gradient, x, factor, ofFactor]) {
        await network.activateBack(gradient!, x!, activation, { factor: factor!, gradient: ofFactor! });
        return none;
      },
    },
  ]),
  {
    name: 'placed stretches',
    operands: [
      { rows: 37, cols: 60 },
      { rows: 37, cols: 20 },
    ],
    async run(network, [out, x]) {
      await network.place(out!, x!, { size: 5, from: 10, step: 15 });
      return none;
    },
  },
  ...[ODD, LARGE].map(
    (shape): Case => ({
      name: `a step of Adam on ${shape.rows} x ${shape.cols} entries`,
      operands: [shape, shape, shape, { ...shape, squared: true }],
      run: async (network, [x, gradient, first, second]) => [
        await network.adam(x!, gradient!, { first: first!, second: second! }, { rate: 0.3, step: 3 }),
      ],
    }),
  ),
  attentionCase('of two texts', [4, 4, 24], [whole(130), whole(70, 130)]),
  attentionCase('with shared keys, over several tiles', [4, 2, 8], [whole(530)]),
  attentionCase('with one key head for many', [10, 1, 8], [whole(50)]),
  attentionCase('in a sliding window', [2, 1, 8], [whole(560)], { window: 90 }),
  attentionCase('with capped scores', [2, 2, 16], [whole(60)], { softCap: 5, size: 4 }),
  attentionCase('with large scores', [1, 1, 16], [whole(530)], { size: 8 }),
  attentionCase('of the last of many positions', [4, 2, 16], [{ row: 0, rows: 3, keyRow: 0, keys: 610 }]),
];

/** All operands behind the operation, and the numbers that it returns. */
async function resultsOf(backend: Backend, { operands, run }: Case): Promise<ArrayLike<number>[]> {
  const matrices: Matrix[] = [];
  for (const [k, { rows, cols, size = 1, squared = false }] of operands.entries())
    matrices.push(
      await onDevice(
        backend,
        vector(rows * cols, 10 + k).map((entry) => size * (squared ? entry ** 2 : entry)),
        rows,
        cols,
      ),
    );
  try {
    const numbers = await run(backend.network, matrices);
    const results: ArrayLike<number>[] = [numbers];
    for (const matrix of matrices) results.push(await taken(backend, matrix));
    return results;
  } finally {
    for (const matrix of matrices) backend.free(matrix);
  }
}

describe('derivatives of the operations of a network', () => {
  const reference = createReferenceBackend();
  const truths = new Map<Case, readonly ArrayLike<number>[]>();
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
        it(`that of ${one.name} agrees with float64`, async () => {
          const own = await resultsOf(backend, one);
          const truth = truths.get(one) ?? (await resultsOf(reference, one));
          truths.set(one, truth);
          for (const [k, values] of truth.entries()) {
            assert.ok(Array.from(values).every(Number.isFinite));
            // Some roundings of f32, and the depth of a dot product or of a sum over rows.
            const bound = 2e-5 * Array.from(values).reduce((most, entry) => Math.max(most, Math.abs(entry)), 0);
            assert.equal(own[k]!.length, values.length);
            for (let i = 0; i < values.length; i++)
              assert.ok(
                Math.abs(own[k]![i]! - values[i]!) <= bound,
                `result ${k}, entry ${i} is ${own[k]![i]}, not ${values[i]}`,
              );
          }
        });

      it('a step of Adam reports a gradient that is not finite', async () => {
        for (const bad of [Number.NaN, Number.POSITIVE_INFINITY]) {
          const entries = vector(ODD.rows * ODD.cols, 3);
          entries[ODD.rows * ODD.cols - 1] = bad;
          const gradient = await onDevice(backend, entries, ODD.rows, ODD.cols);
          const others: Matrix[] = [];
          for (let k = 0; k < 3; k++)
            others.push(await onDevice(backend, new Float32Array(entries.length), ODD.rows, ODD.cols));
          const [x, first, second] = others as [Matrix, Matrix, Matrix];
          const squares = await backend.network.adam(x, gradient, { first, second }, { rate: 1e-3, step: 1 });
          assert.ok(!Number.isFinite(squares), `${squares}`);
          for (const matrix of [gradient, ...others]) backend.free(matrix);
        }
      });

      it('attention that is cancelled rejects, and leaves the device usable', async () => {
        const one = attentionCase('', [8, 8, 64], [whole(64)]);
        const controller = new AbortController();
        controller.abort();
        const run: Case['run'] = async (network, [ofQuery, ofKey, ofValue, gradient, query, key, value]) => {
          await network.attendBack(
            { query: ofQuery!, key: ofKey!, value: ofValue! },
            gradient!,
            { query: query!, key: key!, value: value! },
            {
              ...{ heads: 8, keyHeads: 8, headSize: 64, scale: 1, softCap: null, window: null },
              ...{ spans: [whole(64)], signal: controller.signal },
            },
          );
          return none;
        };
        await assert.rejects(resultsOf(backend, { ...one, run }), { code: 'cancelled' });
        await resultsOf(backend, one);
      });
    });
});
