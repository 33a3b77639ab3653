import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { seededRandom } from '../../../src/base/random.ts';
import type { Backend } from '../../../src/devices/backend.ts';
import { createCpuBackend } from '../../../src/devices/cpu/backend.ts';
import { batchesOf, mostRows } from '../../../src/network/batches.ts';
import { linearsOf } from '../../../src/network/blocks/block.ts';
import { modulesOf } from '../../../src/network/blocks/expert.ts';
import { type BlockVisit, type Streams, walkBlocks } from '../../../src/network/blockwise.ts';
import { forward, type InputObserver } from '../../../src/network/forward.ts';
import { refuseIfMomentsTooLarge } from '../../../src/network/groupwise/memory.ts';
import { replaceByGroups } from '../../../src/network/groupwise/replaceByGroups.ts';
import type { GroupInputs } from '../../../src/network/groupwise/stepTogether.ts';
import { type Network, openNetwork } from '../../../src/network/network.ts';
import type { Rows } from '../../../src/network/operations/rows.ts';
import { passHeads } from '../../../src/network/passHeads.ts';
import { largestBlock } from '../../../src/network/passMemory.ts';
import { type Factors, linearOfFactors } from '../../../src/network/variant.ts';
import { type Case, valuesOf, withDecoder } from './decoders.ts';
import { logitsOf, relativeDifference } from './logits.ts';

const CASES = JSON.parse(readFileSync('test/fixtures/decoders/logits.json', 'utf8')) as Case[];
const caseOf = (kind: string) => CASES.find((known) => known.kind === kind)!;
const LLAMA = caseOf('llama');
const TOLERANCE = 2e-5;

/** Windows of equal length, so many that they make several batches. */
const windowsOf = ({ ids }: Case) => [ids, [...ids].reverse(), ids.map((_, k) => ids[(7 * k) % ids.length]!)];

/** Random factors of a matrix. */
function factorsOf(m: number, n: number, seed: number, rank = 5): Factors {
  const { normal } = seededRandom(seed);
  const random = (length: number, size: number) => Float32Array.from({ length }, () => normal() / Math.sqrt(size));
  return { b: random(m * rank, rank), a: random(rank * n, n) };
}

/** The device with another capacity, and the bytes of its matrices: now and at most. */
function watched(backend: Backend, capacity = backend.capacity) {
  let [live, most] = [0, 0];
  const own: Partial<Backend> = {
    capacity,
    async allocate(rows, cols) {
      const matrix = await backend.allocate(rows, cols);
      live += 4 * rows * cols;
      most = Math.max(most, live);
      return matrix;
    },
    free(matrix) {
      live -= 4 * matrix.rows * matrix.cols;
      backend.free(matrix);
    },
  };
  const device = new Proxy(backend, {
    get(target, key) {
      const value: unknown = Reflect.get(own, key) ?? Reflect.get(target, key);
      return typeof value === 'function' && !(key in own) ? value.bind(target) : value;
    },
  });
  return { device, live: () => live, most: () => most };
}

describe('a walk through the blocks of a network', () => {
  let backend: Backend;
  before(() => {
    backend = createCpuBackend(2);
  });
  after(() => backend.close());

  /** The logits of the streams behind the last block. */
  async function logitsBehind(network: Network, windows: readonly (readonly number[])[], batches: readonly Rows[]) {
    const rows = windows.reduce((sum, { length }) => sum + length, 0);
    let whole = new Float32Array(0);
    await passHeads(
      {
        run: { backend, pause: () => undefined },
        network,
        batches: batchesOf(windows),
        progress: () => undefined,
        take: async ({ row, column, vocabulary, logits: [matrix] }) => {
          if (whole.length === 0) whole = new Float32Array(rows * vocabulary);
          const values = await backend.download(matrix!);
          for (let r = 0; r < matrix!.rows; r++)
            whole.set(values.subarray(r * matrix!.cols, (r + 1) * matrix!.cols), (row + r) * vocabulary + column);
        },
      },
      [{ variant: undefined, batches }],
    );
    return whole;
  }

  /** Logits of the dense network, and of one with other factors, by a forward pass. */
  const expected = (
    network: Network,
    windows: readonly (readonly number[])[],
    factors: ReadonlyMap<string, Factors>,
  ) => {
    const replaced = new Map(
      [...factors].map(([name, own]) => {
        const { outputs, inputs } = network.weights.linear(name);
        return [`${name}.weight`, async () => linearOfFactors(name, [outputs, inputs], own)];
      }),
    );
    return logitsOf({ network, backend, windows, variants: [{ name: 'cut', replaced }] });
  };

  const namesIn = ({ block }: BlockVisit) =>
    [...linearsOf(block), ...block.storedExperts.flatMap(modulesOf)].map(({ name }) => name);

  for (const kind of ['llama', 'phi3', 'gpt2', 'stablelm parallel', 'mixtral', 'qwen2_moe'])
    it(`gives the streams of ${kind} and of what replaces its layers, as forward passes do`, () =>
      withDecoder(caseOf(kind), async (checkpoint) => {
        const network = await openNetwork(checkpoint);
        const windows = windowsOf(caseOf(kind));
        const factors = new Map<string, Factors>();
        const { calibration } = await walkBlocks({ network, backend, windows }, async (visit) => {
          const linears = new Map<string, Factors>();
          for (const [k, name] of namesIn(visit).entries()) {
            const { outputs, inputs } = network.weights.linear(name);
            if (k % 2 === visit.layer % 2) linears.set(name, factorsOf(outputs, inputs, k));
          }
          for (const [name, own] of linears) factors.set(name, own);
          return { linears };
        });
        const [dense, cut] = await expected(network, windows, factors);
        assert.ok(relativeDifference(await logitsBehind(network, windows, calibration.dense), dense!) < TOLERANCE);
        assert.ok(relativeDifference(await logitsBehind(network, windows, calibration.compressed), cut!) < TOLERANCE);
        assert.ok(relativeDifference(cut!, dense!) > 0.01);
      }));

  it('changes norms, passes held-out windows as well, and goes on where an earlier walk was', () =>
    withDecoder(LLAMA, async (checkpoint) => {
      const network = await openNetwork(checkpoint);
      const [first, ...others] = windowsOf(LLAMA);
      const request = { network, backend, windows: others, heldOut: [first!] };
      const change = ({ block }: BlockVisit) => {
        const { weight, ...rest } = block.norms.feedForwardNorm!;
        return { norms: { feedForwardNorm: { ...rest, weight: weight.map((value) => 2 * value) } } };
      };
      const seen: { layer: number; calibration: Streams; heldOut: Streams }[] = [];
      const whole = await walkBlocks(request, async (visit) => {
        seen.push({ layer: visit.layer, calibration: visit.calibration, heldOut: visit.heldOut });
        return change(visit);
      });
      const rest = await walkBlocks({ ...request, from: seen[1]! }, async (visit) => change(visit));
      assert.deepEqual(rest, whole);
      const changed = await withDecoder(
        LLAMA,
        async (other) => logitsOf({ network: await openNetwork(other), backend, windows: [first!] }),
        (name, shape) =>
          valuesOf(LLAMA.seed, name, shape).map((value) => (name.includes('post_attention') ? 2 * value : value)),
      );
      const own = await logitsBehind(network, [first!], whole.heldOut.compressed);
      assert.ok(relativeDifference(own, changed[0]!) < TOLERANCE);
    }));

  it('computes nothing twice while nothing is replaced', () =>
    withDecoder(LLAMA, async (checkpoint) => {
      const network = await openNetwork(checkpoint);
      const { calibration } = await walkBlocks({ network, backend, windows: windowsOf(LLAMA) }, async (visit) => {
        assert.equal(visit.calibration.compressed, visit.calibration.dense);
        return {};
      });
      assert.equal(calibration.compressed, calibration.dense);
    }));

  it('refuses a block that the device cannot hold with its size, before anything is read', () =>
    withDecoder(LLAMA, async (checkpoint) => {
      const network = await openNetwork(checkpoint);
      const small = Object.assign(Object.create(backend) as Backend, { capacity: 1000 });
      const walk = walkBlocks({ network, backend: small, windows: windowsOf(LLAMA) }, async () => assert.fail());
      await assert.rejects(walk, { code: 'too-large', message: /block 1 needs .*KB/ });
    }));

  describe('that replaces the layers of a block group by group', () => {
    /** Replaces all layers of all blocks; returns what each group was told, by its first layer. */
    async function replaced(
      network: Network,
      windows: readonly (readonly number[])[],
      isCut: (name: string) => boolean = () => true,
      device = backend,
    ) {
      const groups = new Map<string, GroupInputs>();
      const factors = new Map<string, Factors>();
      const { calibration } = await walkBlocks({ network, backend: device, windows }, async (visit) => {
        const change = await replaceByGroups(visit, {
          isCut,
          async replace(group) {
            groups.set(group.layers[0]!.name, group);
            return new Map(
              group.layers.map(({ name, outputs, inputs }) => [name, factorsOf(outputs, inputs, name.length)]),
            );
          },
        });
        for (const [name, own] of change.linears ?? []) factors.set(name, own);
        return change;
      });
      return { groups, factors, calibration };
    }

    /** X X^T of the layers of the network, by a forward pass of it. */
    async function gramsOf(network: Network, windows: readonly (readonly number[])[]) {
      const grams = new Map<string, Float64Array>();
      const observer: InputObserver = {
        async inputs({ rows, cols, values }, [first]) {
          const gram = grams.get(first!.name) ?? new Float64Array(cols * cols);
          grams.set(first!.name, gram);
          for (let row = 0; row < rows; row++)
            for (let i = 0; i < cols; i++)
              for (let j = 0; j < cols; j++) gram[i * cols + j]! += values[row * cols + i]! * values[row * cols + j]!;
        },
        passed: async () => undefined,
      };
      await forward({ network, backend, windows, observer });
      return grams;
    }

    /** The values of a network whose layers are the products of these factors. */
    const withProducts =
      ({ seed }: Case, factors: ReadonlyMap<string, Factors>) =>
      (name: string, shape: readonly number[]) => {
        const own = factors.get(name.replace(/\.weight$/, ''));
        if (!own) return valuesOf(seed, name, shape);
        const [m, n] = [own.b.length / 5, own.a.length / 5];
        const product = (i: number, j: number) => {
          let sum = 0;
          for (let k = 0; k < 5; k++) sum += own.b[i * 5 + k]! * own.a[k * n + j]!;
          return sum;
        };
        const isTransposed = shape[0] !== m || (m === n && /c_(attn|proj|fc)/.test(name));
        return Array.from({ length: m * n }, (_, at) =>
          isTransposed ? product(at % m, Math.floor(at / m)) : product(Math.floor(at / n), at % n),
        );
      };

    for (const kind of ['llama', 'phi3', 'gemma2', 'gpt2', 'stablelm parallel'])
      it(`sees the inputs of the groups of ${kind} with all earlier ones replaced`, () =>
        withDecoder(caseOf(kind), async (checkpoint) => {
          const network = await openNetwork(checkpoint);
          const windows = windowsOf(caseOf(kind));
          const { groups, factors, calibration } = await replaced(network, windows);
          const [dense, cut] = await expected(network, windows, factors);
          assert.ok(relativeDifference(await logitsBehind(network, windows, calibration.dense), dense!) < TOLERANCE);
          assert.ok(relativeDifference(await logitsBehind(network, windows, calibration.compressed), cut!) < TOLERANCE);
          const grams = await withDecoder(
            caseOf(kind),
            async (other) => gramsOf(await openNetwork(other), windows),
            withProducts(caseOf(kind), factors),
          );
          assert.ok(groups.size >= 2 * 3);
          for (const [name, { moments }] of groups) {
            assert.equal(moments.tokens, 60);
            assert.ok(relativeDifference(moments.own, grams.get(name)!) < TOLERANCE, name);
            const isFirst = name.includes('0.') && /q_proj|qkv|c_attn/.test(name);
            if (isFirst) assert.deepEqual(moments.cross, moments.own);
            else if (name.includes('1.')) assert.ok(relativeDifference(moments.cross, moments.own) > 0.01, name);
          }
        }));

    it('sees the tokens that the router of the dense network sends to each expert', () => {
      const known = caseOf('mixtral');
      return withDecoder(known, async (checkpoint) => {
        const network = await openNetwork(checkpoint);
        const windows = windowsOf(known);
        const { groups, factors, calibration } = await replaced(network, windows, (name) => name.includes('.experts.'));
        const [dense, cut] = await expected(network, windows, factors);
        assert.ok(relativeDifference(await logitsBehind(network, windows, calibration.dense), dense!) < TOLERANCE);
        assert.ok(relativeDifference(await logitsBehind(network, windows, calibration.compressed), cut!) < TOLERANCE);
        const before = await gramsOf(network, windows);
        const behind = await withDecoder(
          known,
          async (other) => gramsOf(await openNetwork(other), windows),
          withProducts(known, factors),
        );
        const reached: number[] = [0, 0];
        for (const [name, { moments }] of groups) {
          const layer = name.includes('layers.0.') ? 0 : 1;
          if (!name.endsWith('w2')) reached[layer]! += moments.tokens;
          // Nothing changes the first router. What it sends to an expert is thus the same in both networks.
          if (layer === 1)
            assert.ok(moments.tokens === 0 || relativeDifference(moments.cross, moments.own) > 0.01, name);
          else if (moments.tokens > 0) {
            assert.ok(relativeDifference(moments.own, behind.get(name)!) < TOLERANCE, name);
            if (!name.endsWith('w2')) assert.ok(relativeDifference(moments.cross, before.get(name)!) < TOLERANCE, name);
          } else assert.ok(!before.has(name));
        }
        const { used } = network.decoder.layers[0]!.feedForward.experts!;
        assert.deepEqual(reached, [used * 60, used * 60]);
      });
    });

    it('begins passes again where the device cannot hold all that wait, with the same results', () =>
      withDecoder(LLAMA, async (checkpoint) => {
        const network = await openNetwork(checkpoint);
        const windows = Array.from({ length: 210 }, (_, k) => [
          ...LLAMA.ids.slice(k % 20),
          ...LLAMA.ids.slice(0, k % 20),
        ]);
        const held = await replaced(network, windows);
        const { device: small, live, most } = watched(backend, 4e6);
        const again = await replaced(network, windows, () => true, small);
        assert.deepEqual(again, held);
        assert.equal(live(), 0);
        assert.ok(most() < 4e6, `${most()} bytes`);
      }));

    it('is refused with the bytes of its second moments where they do not fit, before anything is read', () =>
      withDecoder(LLAMA, async (checkpoint) => {
        const network = await openNetwork(checkpoint);
        const windows = windowsOf(LLAMA);
        const check = (capacity: number, isCut: (name: string) => boolean) =>
          refuseIfMomentsTooLarge(network, watched(backend, capacity).device, isCut, mostRows(windows));
        check(backend.capacity, () => true);
        // Four squares of the 48 inputs of the down projection.
        assert.throws(() => check(20_000, () => true), { code: 'too-large', message: /36\.9 KB .* 48 inputs/ });
        const { weights, activations } = largestBlock(network, [], 60);
        check(weights + activations, () => false);
        assert.throws(() => check(weights + activations, (name) => name.endsWith('q_proj')), { code: 'too-large' });
      }));

    it('leaves nothing on the device when it is cancelled or fails between groups', () =>
      withDecoder(LLAMA, async (checkpoint) => {
        const network = await openNetwork(checkpoint);
        const { device, live } = watched(backend);
        const controller = new AbortController();
        const cancel = async () => controller.abort();
        const fail = () => Promise.reject(new Error('no more'));
        for (const [message, signal, end] of [
          [/no more/, undefined, fail],
          [/cancel/i, controller.signal, cancel],
        ] as const) {
          let groups = 0;
          const walk = walkBlocks({ network, backend: device, windows: windowsOf(LLAMA), signal }, (visit) =>
            replaceByGroups(visit, {
              isCut: () => true,
              async replace(group) {
                if (++groups === 3) await end();
                return new Map(group.layers.map(({ name, outputs, inputs }) => [name, factorsOf(outputs, inputs, 1)]));
              },
            }),
          );
          await assert.rejects(walk, message);
          assert.equal(live(), 0);
        }
      }));
  });
});
