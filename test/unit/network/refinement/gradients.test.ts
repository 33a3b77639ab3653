import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { balanced } from '../../../../src/base/balancedFactors.ts';
import { seededRandom } from '../../../../src/base/random.ts';
import type { Backend } from '../../../../src/devices/backend.ts';
import { createCpuBackend } from '../../../../src/devices/cpu/backend.ts';
import { createReferenceBackend } from '../../../../src/devices/reference/backend.ts';
import { freeBlock, linearsOf } from '../../../../src/network/blocks/block.ts';
import { readBlock } from '../../../../src/network/blocks/readBlock.ts';
import { type Network, openNetwork } from '../../../../src/network/network.ts';
import type { Norm } from '../../../../src/network/operations/norm.ts';
import { rotationTable } from '../../../../src/network/operations/rope.ts';
import type { Rows } from '../../../../src/network/operations/rows.ts';
import { blockParts } from '../../../../src/network/passMemory.ts';
import { withGradients } from '../../../../src/network/refinement/blockLoss.ts';
import { refineBlock } from '../../../../src/network/refinement/refineBlock.ts';
import { TrainedBlock } from '../../../../src/network/refinement/trainedBlock.ts';
import type { Factors } from '../../../../src/network/variant.ts';
import { python } from '../../formats/python.ts';
import { type Case, valuesOf, withDecoder } from '../decoders.ts';
import { relativeDifference } from '../logits.ts';

const CASES = JSON.parse(readFileSync('test/fixtures/decoders/logits.json', 'utf8')) as Case[];
const LENGTHS = [12, 8];
const RANK = 5;
/** Layers that stay dense, so that gradients pass through them as well; the router is never cut. */
const DENSE = /(v_proj|w3|fc2|shared_expert\.up_proj|(mlp|block_sparse_moe)\.gate)$/;

/** A block of a case on the rows that follow from its seed, as test/python/blockGradients.py makes them. */
interface Problem {
  readonly network: Network;
  readonly layer: number;
  readonly input: Rows;
  readonly target: Rows;
  readonly factors: Map<string, Factors>;
  readonly norms: Record<string, Norm>;
}

async function problemOf(one: Pick<Case, 'seed'>, network: Network, backend: Backend): Promise<Problem> {
  const { decoder } = network;
  const layer = decoder.layers.length - 1;
  const random = (name: string, ...shape: number[]) => Float32Array.from(valuesOf(one.seed, name, shape));
  const rows = LENGTHS.reduce((sum, length) => sum + length, 0);
  const rowsOf = (name: string): Rows => ({ rows, cols: decoder.width, values: random(name, rows, decoder.width) });
  const factors = new Map<string, Factors>();
  for (const [name, { outputs, inputs }] of blockParts(network, layer).named)
    if (!DENSE.test(name))
      factors.set(name, balanced(random(`${name}.b`, outputs, RANK), random(`${name}.a`, RANK, inputs), RANK));
  const block = await readBlock(network, backend, layer, undefined);
  freeBlock(backend, block);
  return { network, layer, input: rowsOf('input'), target: rowsOf('target'), factors, norms: { ...block.norms } };
}

interface Found {
  readonly loss: number;
  /** By the name of a module, or of a norm of the block. */
  readonly factors: ReadonlyMap<string, Factors>;
  readonly norms: ReadonlyMap<string, { readonly weight: Float64Array; readonly bias?: Float64Array | undefined }>;
}

async function gradientsOf(problem: Problem, backend: Backend): Promise<Found> {
  const { network, layer, input, target, factors, norms } = problem;
  const settings = network.decoder.layers[layer]!;
  const run = { backend, pause: () => undefined };
  const rotationsOf = rotationTable(settings.attention.rope);
  const dense = await readBlock(network, backend, layer, undefined);
  const own = await TrainedBlock.open(backend, { ...dense, norms }, factors, undefined);
  try {
    let found: Found | undefined;
    const passage = { run, network, settings, lengths: LENGTHS, rotationsOf };
    await withGradients(passage, own.block, own.trained, { input, target }, async (loss, tape) => {
      const ofFactors = new Map<string, Factors>();
      for (const { name, steps } of linearsOf(own.block)) {
        const [a, b] = steps.map(({ matrix }) => own.trained.has(matrix) && tape.gradientOf(matrix));
        if (a && b) ofFactors.set(name, { a: await backend.download(a), b: await backend.download(b) });
      }
      const parts = Object.entries(own.block.norms).flatMap(([part, norm]) => {
        const gradient = tape.norms.get(norm);
        return gradient ? [[part, gradient] as const] : [];
      });
      found = { loss, factors: ofFactors, norms: new Map(parts) };
    });
    return found!;
  } finally {
    own.free();
    freeBlock(backend, dense);
  }
}

/** The case without rectifiers, over whose bends differences would reach. */
function smooth(one: Case): Case {
  const { activation_function: activation, ...config } = one.config;
  return activation === 'relu' ? { ...one, config: { ...config, activation_function: 'gelu' } } : one;
}

describe('gradients of the loss of a block', () => {
  const reference = createReferenceBackend();
  let cpu: Backend;
  before(() => {
    cpu = createCpuBackend(2);
  });
  after(() => Promise.all([reference.close(), cpu.close()]));

  for (const one of CASES)
    it(`agree with central differences in float64, and on the processor, for ${one.kind}`, () =>
      withDecoder(smooth(one), async (checkpoint) => {
        const network = await openNetwork(checkpoint);
        const problem = await problemOf(one, network, reference);
        const found = await gradientsOf(problem, reference);
        const { normal } = seededRandom(3);
        /** Along a random direction in one vector of weights. */
        const check = async (name: string, values: Float32Array, gradient: ArrayLike<number>) => {
          const direction = Float32Array.from(values, normal);
          const kept = values.slice();
          const h = 2 ** -9;
          const lossAt = async (step: number) => {
            values.set(kept.map((value, i) => value + step * direction[i]!));
            return (await gradientsOf(problem, reference)).loss;
          };
          const slope = ((await lossAt(h)) - (await lossAt(-h))) / (2 * h);
          values.set(kept);
          const expected = direction.reduce((sum, side, i) => sum + side * gradient[i]!, 0);
          const size = Math.sqrt(Array.from(gradient).reduce((sum, entry) => sum + entry ** 2, 0));
          const error = Math.abs(slope - expected) / (size * Math.sqrt(direction.length));
          assert.ok(error < 1e-3, `${name}: ${expected}, not ${slope}`);
        };
        const [name, own] = [...found.factors][Math.floor(found.factors.size / 2)]!;
        await check(`${name}, b`, problem.factors.get(name)!.b, own.b);
        await check(`${name}, a`, problem.factors.get(name)!.a, own.a);
        const [part, norm] = [...found.norms][0]!;
        await check(`${part}, weight`, problem.norms[part]!.weight, norm.weight);

        const onCpu = await gradientsOf(problem, cpu);
        assert.ok(Math.abs(onCpu.loss / found.loss - 1) < 1e-5);
        assert.deepEqual([...onCpu.factors.keys()], [...found.factors.keys()]);
        for (const [module, { a, b }] of found.factors) {
          assert.ok(relativeDifference(onCpu.factors.get(module)!.a, a) < 2e-4, `${module}, a`);
          assert.ok(relativeDifference(onCpu.factors.get(module)!.b, b) < 2e-4, `${module}, b`);
        }
        assert.deepEqual([...onCpu.norms.keys()], [...found.norms.keys()]);
        for (const [key, { weight, bias }] of found.norms) {
          assert.ok(relativeDifference(onCpu.norms.get(key)!.weight, weight) < 2e-4, key);
          if (bias) assert.ok(relativeDifference(onCpu.norms.get(key)!.bias!, bias) < 2e-4, `${key}, bias`);
        }
      }));

  it('agree with the autograd of torch for every factor and norm of every architecture', async function () {
    this.timeout(300_000);
    const script = readFileSync('test/python/blockGradients.py', 'utf8');
    interface Known extends Case {
      readonly layer: number;
      readonly loss: number;
      readonly factors: Readonly<Record<string, { readonly b: number[]; readonly a: number[] }>>;
      readonly norms: Readonly<Record<string, number[]>>;
    }
    const cases = python(this, ['torch', 'transformers', 'safetensors'], script, '2') as Known[];
    assert.equal(cases.length, CASES.length);
    for (const known of cases)
      await withDecoder(known, async (checkpoint) => {
        const network = await openNetwork(checkpoint);
        const found = await gradientsOf(await problemOf(known, network, cpu), cpu);
        assert.ok(Math.abs(found.loss / known.loss - 1) < 1e-5, `${known.kind}: ${found.loss}, not ${known.loss}`);
        assert.deepEqual([...found.factors.keys()].sort(), Object.keys(known.factors).sort(), known.kind);
        for (const [name, { a, b }] of Object.entries(known.factors)) {
          assert.ok(relativeDifference(found.factors.get(name)!.b, b) < 2e-4, `${known.kind}: ${name}, b`);
          assert.ok(relativeDifference(found.factors.get(name)!.a, a) < 2e-4, `${known.kind}: ${name}, a`);
        }
        let compared = 0;
        for (const [part, { weight, bias }] of found.norms) {
          const path = `${network.prefix}${network.modules.layers}.${known.layer}.`;
          const module = path + network.modules.norms[part as keyof typeof network.modules.norms]!;
          const heads = Array.from({ length: 8 }, (_, head) => module.replace('#', String(head)));
          const modules = module.includes('#') ? heads.filter((own) => `${own}.weight` in known.norms) : [module];
          const all = (side: string) => modules.flatMap((own) => known.norms[`${own}.${side}`] ?? []);
          assert.ok(relativeDifference(weight, all('weight')) < 2e-4, `${known.kind}: ${module}`);
          if (bias) assert.ok(relativeDifference(bias, all('bias')) < 2e-4, `${known.kind}: ${module}, bias`);
          compared += modules.length * (bias ? 2 : 1);
        }
        assert.equal(compared, Object.keys(known.norms).length, `norms of ${known.kind}`);
      });
  });

  it('lead to the losses of torch in the course of a refinement', async function () {
    this.timeout(120_000);
    const script = readFileSync('test/python/blockGradients.py', 'utf8');
    const [steps, rate] = [12, 0.01];
    const args = ['2', 'gemma2', String(steps), String(rate)];
    const known = python(this, ['torch', 'transformers', 'safetensors'], script, ...args) as Case & {
      readonly losses: readonly number[];
    };
    await withDecoder(known, async (checkpoint) => {
      const network = await openNetwork(checkpoint);
      const { layer, factors, input, target } = await problemOf(known, network, cpu);
      const rows = { lengths: [LENGTHS], inputs: [input], targets: [target] };
      const block = await readBlock(network, cpu, layer, undefined);
      const request = { network, backend: cpu, layer, block, factors, ...rows, heldOut: rows, steps, rate };
      const found = await refineBlock(request);
      freeBlock(cpu, block);
      assert.ok(found.kept);
      const losses = [...found.losses.map(({ loss }) => loss), found.losses.at(-1)!.heldOut!];
      for (const [step, loss] of known.losses.entries())
        assert.ok(Math.abs(losses[step]! / loss - 1) < 1e-4, `step ${step}: ${losses[step]}, not ${loss}`);
    });
  });
});
