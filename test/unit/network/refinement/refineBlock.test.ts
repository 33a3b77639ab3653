import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { seededRandom } from '../../../../src/base/random.ts';
import type { Backend } from '../../../../src/devices/backend.ts';
import { createCpuBackend } from '../../../../src/devices/cpu/backend.ts';
import { freeBlock } from '../../../../src/network/blocks/block.ts';
import { passRows } from '../../../../src/network/blocks/passRows.ts';
import { readBlock } from '../../../../src/network/blocks/readBlock.ts';
import type { StoredLinear } from '../../../../src/network/blocks/weights.ts';
import { openNetwork } from '../../../../src/network/network.ts';
import { rotationTable } from '../../../../src/network/operations/rope.ts';
import type { Rows } from '../../../../src/network/operations/rows.ts';
import { blockParts } from '../../../../src/network/passMemory.ts';
import { refineBlock } from '../../../../src/network/refinement/refineBlock.ts';
import type { Refinement, RefinementRequest, RefinementStep } from '../../../../src/network/refinement/refinement.ts';
import { refinementMemory } from '../../../../src/network/refinement/refinementMemory.ts';
import type { Factors } from '../../../../src/network/variant.ts';
import { processorTime } from '../../processorTime.ts';
import { counted } from '../countedBackend.ts';
import { type Case, withDecoder } from '../decoders.ts';

const CASES = JSON.parse(readFileSync('test/fixtures/decoders/logits.json', 'utf8')) as Case[];
const LLAMA = CASES.find(({ kind }) => kind === 'llama')!;
const MIXTRAL = CASES.find(({ kind }) => kind === 'mixtral')!;
const LENGTHS = [24, 20, 24];

type CutOf = (backend: Backend, stored: StoredLinear, rank: number) => Promise<Factors>;

/** The leading singular triplets of a matrix, as factors. */
const leading: CutOf = async (backend, { outputs, inputs, factors: [stored] }, rank) => {
  const { source, transposed } = stored!;
  const [matrix, own] = [await backend.allocate(outputs, inputs), new Float32Array(outputs * inputs)];
  await source.read(0, own);
  await backend.upload(matrix, 0, outputs, (out) => {
    for (let i = 0; i < outputs; i++)
      for (let j = 0; j < inputs; j++) out[i * inputs + j] = own[transposed ? j * outputs + i : i * inputs + j]!;
  });
  const { left, values, right } = await backend.svd(matrix, rank);
  backend.free(matrix);
  const a = Float32Array.from({ length: rank * inputs }, (_, at) => {
    const k = Math.floor(at / inputs);
    return values[k]! * right[(at % inputs) * rank + k]!;
  });
  return { b: left, a };
};

const random: CutOf = async (_, { outputs, inputs }, rank) => {
  const { normal } = seededRandom(outputs + inputs);
  const of = (count: number, size: number) => Float32Array.from({ length: count }, () => normal() / Math.sqrt(size));
  return { b: of(outputs * rank, rank), a: of(rank * inputs, inputs) };
};

type Change = (request: RefinementRequest) => RefinementRequest;

/** Cuts the first block of a case, and refines it on random rows; `use` also gets the loss of what came out. */
function refined<Result>(
  one: Case,
  backend: Backend,
  change: Change,
  use: (found: Refinement, request: RefinementRequest, loss: (found: Refinement) => Promise<number>) => Promise<Result>,
  cut: CutOf = random,
  lengths: readonly number[] = LENGTHS,
): Promise<Result> {
  return withDecoder(one, async (checkpoint) => {
    const network = await openNetwork(checkpoint);
    const settings = network.decoder.layers[0]!;
    const block = await readBlock(network, backend, 0, undefined);
    try {
      const factors = new Map<string, Factors>();
      for (const [name, stored] of blockParts(network, 0).named)
        if (!/\.gate$/.test(name))
          factors.set(name, await cut(backend, stored, Math.ceil(Math.min(stored.outputs, stored.inputs) / 2)));
      const { normal } = seededRandom(9);
      const rows = lengths.reduce((sum, length) => sum + length, 0);
      const cols = network.decoder.width;
      const batch = (): Rows => ({ rows, cols, values: Float32Array.from({ length: rows * cols }, normal) });
      const run = { backend, pause: () => undefined };
      const rotationsOf = rotationTable(settings.attention.rope);
      const passage = { run, network, settings, lengths, rotationsOf };
      const rowsOf = async (count: number) => {
        const inputs = Array.from({ length: count }, batch);
        const targets = await passRows(run, Array(count).fill(passage), block, inputs);
        return { lengths: inputs.map(() => lengths), inputs, targets };
      };
      const [training, heldOut] = [await rowsOf(4), await rowsOf(2)];
      const request = change({
        network,
        backend,
        layer: 0,
        block,
        factors,
        ...training,
        heldOut,
        steps: 24,
        rate: 3e-3,
      });
      const lossOf = async ({ factors: linears, norms }: Refinement) => {
        const { inputs, targets } = request.heldOut;
        const found = await passRows(run, Array(2).fill(passage), block, inputs, { linears, norms });
        const errors = targets.flatMap(({ rows, cols, values }, k) =>
          Array.from({ length: rows }, (_, row) => {
            const squares = (of: (value: number, i: number) => number) =>
              values.subarray(row * cols, (row + 1) * cols).reduce((sum, value, i) => sum + of(value, i) ** 2, 0);
            return squares((value, i) => value - found[k]!.values[row * cols + i]!) / squares((value) => value);
          }),
        );
        return errors.reduce((sum, error) => sum + error, 0) / errors.length;
      };
      return await use(await refineBlock(request), request, lossOf);
    } finally {
      freeBlock(backend, block);
    }
  });
}

const same: Change = (request) => request;

describe('refinement of a block', () => {
  let backend: Backend;
  before(() => {
    backend = createCpuBackend(2);
  });
  after(() => backend.close());

  for (const one of [LLAMA, MIXTRAL, CASES.find(({ kind }) => kind === 'gpt2')!])
    it(`lowers the loss on held-out windows, and returns what gives it, for ${one.kind}`, async () => {
      const steps: RefinementStep[] = [];
      const change: Change = (request) => ({ ...request, progress: (step) => void steps.push(step) });
      await refined(
        one,
        backend,
        change,
        async (found, request, lossOf) => {
          assert.ok(found.kept, found.reason);
          assert.ok(found.after < 0.97 * found.before, `${found.before} to ${found.after}`);
          assert.ok(Math.abs((await lossOf(found)) / found.after - 1) < 1e-4);
          const given = { ...found, factors: request.factors, norms: request.block.norms };
          assert.ok(Math.abs((await lossOf(given)) / found.before - 1) < 1e-4);
          assert.deepEqual(found.losses, steps);
          assert.deepEqual(
            steps.map(({ step }) => step),
            Array.from({ length: 24 }, (_, k) => k + 1),
          );
          const measured = steps.flatMap(({ heldOut }) => heldOut ?? []);
          assert.equal(measured.length, 12);
          assert.equal(found.after, Math.min(...measured));
          assert.deepEqual([...found.factors.keys()], [...request.factors.keys()]);
          for (const [name, { b, a }] of found.factors) {
            assert.equal(a.length, request.factors.get(name)!.a.length);
            assert.notDeepEqual(b, request.factors.get(name)!.b);
          }
          const norm = Object.keys(found.norms)[0] as keyof typeof found.norms;
          assert.notDeepEqual(found.norms[norm]!.weight, request.block.norms[norm]!.weight);
        },
        leading,
      );
    });

  it('balances the factors: column k of one and row k of the other have equal norms', () =>
    refined(LLAMA, backend, same, async (found, { network }) => {
      for (const [name, { b, a }] of found.factors) {
        const { outputs, inputs } = blockParts(network, 0).named.get(name)!;
        const rank = a.length / inputs;
        for (let k = 0; k < rank; k++) {
          let [column, row] = [0, 0];
          for (let i = 0; i < outputs; i++) column += b[i * rank + k]! ** 2;
          for (let j = 0; j < inputs; j++) row += a[k * inputs + j]! ** 2;
          assert.ok(Math.abs(column / row - 1) < 1e-4, `${name}, ${k}: ${column} and ${row}`);
        }
      }
    }));

  it('returns the given factors where no step was better, and says so', () =>
    refined(
      LLAMA,
      backend,
      (request) => ({ ...request, rate: 3, steps: 12 }),
      async (found, { factors, block }) => {
        assert.equal(found.kept, false);
        assert.match(found.reason!, /no step lowered/);
        assert.equal(found.after, found.before);
        assert.equal(found.factors, factors);
        assert.deepEqual(found.norms, block.norms);
        assert.equal(found.losses.length, 12);
      },
    ));

  it('returns the given factors where a gradient is NaN, and names it', () => {
    const spoiled: Change = (request) => {
      const targets = request.targets.map((rows, k) => {
        const values = rows.values.slice();
        if (k === 2) values[5] = Number.NaN;
        return { ...rows, values };
      });
      return { ...request, targets };
    };
    return refined(LLAMA, backend, spoiled, async (found, { factors }) => {
      assert.equal(found.kept, false);
      assert.equal(found.factors, factors);
      assert.match(found.reason!, /the gradient of model\.layers\.0\.\S+ is not finite at step 3/);
    });
  });

  it('refuses rows and factors that do not fit the block', async () => {
    const wrong: [RegExp, Change][] = [
      [/no batch/, (request) => ({ ...request, heldOut: { lengths: [], inputs: [], targets: [] } })],
      [/2 of targets/, (request) => ({ ...request, targets: request.targets.slice(2) })],
      [/not 3 x 32/, (request) => ({ ...request, lengths: request.lengths.map(() => [3]) })],
      [
        /no layer of this block/,
        (request) => ({ ...request, factors: new Map([['lm_head', request.factors.values().next().value!]]) }),
      ],
      [
        /do not fit/,
        ({ factors, ...request }) => ({
          ...request,
          factors: new Map([...factors].map(([name, { b, a }]) => [name, { b: b.slice(1), a }])),
        }),
      ],
    ];
    for (const [message, change] of wrong)
      await assert.rejects(
        refined(LLAMA, backend, change, async () => undefined),
        { code: 'wrong-use', message },
      );
  });

  it('takes no more memory than was foreseen from the shapes, for every architecture, and frees all of it', async () => {
    for (const one of CASES) {
      const { backend: own, peak, now } = counted(backend);
      await refined(
        one,
        own,
        (request) => ({ ...request, steps: 2 }),
        async (_, { network, factors }) => {
          const ranks = new Map(
            [...factors].map(([name, { a }]) => [name, a.length / blockParts(network, 0).named.get(name)!.inputs]),
          );
          const { weights, activations } = refinementMemory(network, 0, ranks, 68);
          assert.ok(
            peak() <= weights + activations,
            `${one.kind}: ${peak()} bytes, foreseen ${weights} and ${activations}`,
          );
          assert.ok(
            peak() >= 0.5 * (weights + activations),
            `${one.kind}: ${peak()} bytes, foreseen ${weights} and ${activations}`,
          );
        },
      );
      assert.equal(now(), 0, one.kind);
    }
  });

  it('is refused with the number of bytes where the device is too small', async () => {
    const small = new Proxy(backend, {
      get: (target, name: keyof Backend) => {
        const value = name === 'capacity' ? 100_000 : target[name];
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
    await assert.rejects(
      refined(
        LLAMA,
        backend,
        (request) => ({ ...request, backend: small }),
        async () => undefined,
      ),
      { code: 'too-large', message: /refining block 1 needs \d/ },
    );
  });

  it('stops within 200 ms of processor time after a cancellation, and frees its memory', async () => {
    const wide = { hidden_size: 256, intermediate_size: 512, head_dim: 64 };
    const sides = new Map([
      [32, 256],
      [48, 512],
      [16, 128],
    ]);
    const tensors = Object.entries(LLAMA.tensors).map(([name, shape]) => [
      name,
      shape.map((side) => sides.get(side) ?? side),
    ]);
    const one = {
      ...LLAMA,
      config: { ...LLAMA.config, ...wide },
      tensors: Object.fromEntries(tensors) as Case['tensors'],
    };
    const controller = new AbortController();
    let time: (() => number) | undefined;
    const { backend: own, now } = counted(backend);
    const change: Change = (request) => ({
      ...request,
      steps: 100_000,
      signal: controller.signal,
      progress: ({ step }) => {
        // In the middle of the next step.
        if (step === 1) setTimeout(abort, 10);
      },
    });
    const abort = () => {
      time = processorTime();
      controller.abort();
    };
    await assert.rejects(
      refined(one, own, change, async () => undefined, random, [256, 256]),
      { code: 'cancelled' },
    );
    assert.ok(time!() < 200, `${time!()} ms`);
    assert.equal(now(), 0);
  });
});
