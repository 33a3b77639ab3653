import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { seededRandom } from '../../../src/base/random.ts';
import type { Tensor } from '../../../src/checkpoint/tensor.ts';
import type { Backend } from '../../../src/devices/backend.ts';
import { createCpuBackend } from '../../../src/devices/cpu/backend.ts';
import { openNetwork } from '../../../src/network/network.ts';
import { type Factors, linearOfFactors, type Variant } from '../../../src/network/variant.ts';
import { type Case, valuesOf, withDecoder } from './decoders.ts';
import { logitsOf, relativeDifference } from './logits.ts';

const CASES = JSON.parse(readFileSync('test/fixtures/decoders/logits.json', 'utf8')) as Case[];
const LLAMA = CASES.find(({ kind }) => kind === 'llama')!;
const WINDOWS = [LLAMA.ids, [3, 1, 4], [...LLAMA.ids].reverse()];
const TOLERANCE = 1e-5;

/** Random factors of a matrix. */
function factorsOf([m, n]: readonly number[], rank: number, seed: number): Factors {
  const { normal } = seededRandom(seed);
  const random = (length: number, size: number) => Float32Array.from({ length }, () => normal() / Math.sqrt(size));
  return { b: random(m! * rank, rank), a: random(rank * n!, n!) };
}

function product([m, n]: readonly number[], { b, a }: Factors): number[] {
  const rank = a.length / n!;
  return Array.from({ length: m! * n! }, (_, at) => {
    const [i, j] = [Math.floor(at / n!), at % n!];
    let sum = 0;
    for (let k = 0; k < rank; k++) sum += b[i * rank + k]! * a[k * n! + j]!;
    return sum;
  });
}

describe('variants of a network', () => {
  let backend: Backend;
  before(() => {
    backend = createCpuBackend(2);
  });
  after(() => backend.close());

  const UP = 'model.layers.1.mlp.up_proj.weight';
  const QUERY = 'model.layers.0.self_attn.q_proj.weight';
  const EMBEDDING = 'model.embed_tokens.weight';

  /** The logits of the network in which these matrices are the products of the factors. */
  const expected = (replaced: ReadonlyMap<string, Factors>) =>
    withDecoder(
      LLAMA,
      async (checkpoint) => (await logitsOf({ network: await openNetwork(checkpoint), backend, windows: WINDOWS }))[0]!,
      (name, shape) => (replaced.has(name) ? product(shape, replaced.get(name)!) : valuesOf(LLAMA.seed, name, shape)),
    );

  it('pass beside the dense network with the logits of a network that has their products', async () => {
    const sets = [[UP], [QUERY, UP], [EMBEDDING]].map(
      (names, k) => new Map(names.map((name) => [name, factorsOf(LLAMA.tensors[name]!, 5, 10 * k + name.length)])),
    );
    const variants = sets.map(
      (set, k): Variant => ({
        name: `variant ${k}`,
        replaced: new Map(
          [...set].map(([name, factors]) => [
            name,
            async () => linearOfFactors(name, LLAMA.tensors[name] as [number, number], factors),
          ]),
        ),
      }),
    );
    const own = await withDecoder(LLAMA, async (checkpoint) =>
      logitsOf({ network: await openNetwork(checkpoint), backend, windows: WINDOWS, variants }),
    );
    assert.equal(own.length, 4);
    for (const [k, set] of [new Map<string, Factors>(), ...sets].entries()) {
      const truth = await expected(set);
      assert.ok(relativeDifference(own[k]!, truth) < TOLERANCE, `stream ${k}`);
      if (k > 0) assert.ok(relativeDifference(own[0]!, truth) > 0.01, `stream ${k} differs from the dense one`);
    }
  });

  it('pass as another checkpoint of the network, whose norms differ as well', async () => {
    const changed = (name: string, shape: readonly number[]) =>
      valuesOf(LLAMA.seed, name, shape).map((value) =>
        name.includes('norm') || name.includes('v_proj') ? 2 * value : value,
      );
    const separate = await withDecoder(
      LLAMA,
      async (checkpoint) => logitsOf({ network: await openNetwork(checkpoint), backend, windows: WINDOWS }),
      changed,
    );
    const beside = await withDecoder(LLAMA, (first) =>
      withDecoder(
        LLAMA,
        async (second) => {
          const network = await openNetwork(first);
          const other = { name: 'other', replaced: new Map(), network: await openNetwork(second) };
          const variants = [other, { name: 'same', replaced: new Map() }];
          return logitsOf({ network, backend, windows: WINDOWS, variants });
        },
        changed,
      ),
    );
    assert.deepEqual(beside[1], separate[0]);
    assert.deepEqual(beside[2], beside[0]);
    assert.ok(relativeDifference(beside[1]!, beside[0]!) > 0.01);
  });

  it('pass in one reading of every weight, however many they are', () =>
    withDecoder(LLAMA, async (checkpoint) => {
      const read = new Map<string, number>();
      const counted = ({ name, shape }: Tensor, share: number) => {
        const size = shape.reduce((product, side) => product * side, 1);
        read.set(name, (read.get(name) ?? 0) + share / size);
      };
      const tensors = checkpoint.tensors.map(
        (tensor): Tensor =>
          Object.create(tensor, {
            read: {
              value: (offset: number, out: Float32Array, signal?: AbortSignal) => {
                counted(tensor, out.length);
                return tensor.read(offset, out, signal);
              },
            },
            readStored: {
              value: (offset: number, out: Uint8Array, signal?: AbortSignal) => {
                counted(tensor, out.length / 4);
                return tensor.readStored!(offset, out, signal);
              },
            },
          }),
      );
      const variants = [UP, QUERY, UP].map((name, k): Variant => {
        const shape = LLAMA.tensors[name] as [number, number];
        return {
          name: `variant ${k}`,
          replaced: new Map([[name, async () => linearOfFactors(name, shape, factorsOf(shape, 4, k))]]),
        };
      });
      const network = await openNetwork({ ...checkpoint, tensors });
      await logitsOf({ network, backend, windows: WINDOWS, variants });
      // The rows of the tokens, and once more all of it as the head.
      for (const { name } of tensors)
        if (name === EMBEDDING) assert.ok(read.get(name)! >= 1 && read.get(name)! <= 2, `${name}: ${read.get(name)}`);
        else if (name === 'model.norm.weight') assert.ok(read.get(name)! <= 1 + variants.length);
        else assert.equal(read.get(name), 1, name);
    }));

  it('multiplies the two or three factors of a factorized file', async () => {
    const factors = factorsOf(LLAMA.tensors[UP]!, 5, 7);
    const truth = await expected(new Map([[UP, factors]]));
    const stem = UP.replace('.weight', '');
    const scales = [1, 2, 0.5, 4, 0.25];
    const unscaled = factors.a.map((value, at) => value / scales[Math.floor(at / 32)]!);
    const forms: Record<string, [shape: number[], values: ArrayLike<number>]>[] = [
      { 'lowrank_a.weight': [[5, 32], factors.a], 'lowrank_b.weight': [[48, 5], factors.b] },
      { svd_u: [[48, 5], factors.b], svd_s: [[5], scales], svd_v: [[5, 32], unscaled] },
    ];
    for (const form of forms) {
      const parts = new Map(
        Object.entries(form).map(([suffix, part]): [string, typeof part] => [`${stem}.${suffix}`, part]),
      );
      const others = Object.fromEntries(Object.entries(LLAMA.tensors).filter(([name]) => name !== UP));
      const tensors = { ...others, ...Object.fromEntries([...parts].map(([name, [shape]]) => [name, shape])) };
      const [own] = await withDecoder(
        { ...LLAMA, tensors },
        async (checkpoint) => logitsOf({ network: await openNetwork(checkpoint), backend, windows: WINDOWS }),
        (name, shape) => (parts.has(name) ? Array.from(parts.get(name)![1]) : valuesOf(LLAMA.seed, name, shape)),
      );
      assert.ok(relativeDifference(own!, truth) < TOLERANCE, [...parts.keys()].join());
    }
  });

  it('multiplies the factors of experts that were slices of one tensor, and says which of them is missing', async () => {
    const stacked = CASES.find(({ kind }) => kind === 'qwen3_moe stacked')!;
    const stack = 'model.layers.1.mlp.experts.gate_up_proj';
    const [count, rows, cols] = stacked.tensors[stack] as [number, number, number];
    const whole = valuesOf(stacked.seed, stack, [count, rows, cols]);
    const size = rows * cols;
    const factors = factorsOf([rows, cols], 5, 7);
    // Expert 1 has factors, the others their weights.
    const parts: Record<string, [shape: number[], values: ArrayLike<number>]> = {
      [`${stack}.experts.1.lowrank_a.weight`]: [[5, cols], factors.a],
      [`${stack}.experts.1.lowrank_b.weight`]: [[rows, 5], factors.b],
    };
    for (const expert of [0, 2, 3])
      parts[`${stack}.experts.${expert}.weight`] = [[rows, cols], whole.slice(expert * size, (expert + 1) * size)];
    const product = Array.from({ length: size }, (_, at) => {
      let sum = 0;
      for (let k = 0; k < 5; k++) sum += factors.b[Math.floor(at / cols) * 5 + k]! * factors.a[k * cols + (at % cols)]!;
      return sum;
    });
    const logits = (own: typeof parts) => {
      const tensors = Object.fromEntries(Object.entries(stacked.tensors).filter(([name]) => name !== stack));
      const shapes = Object.fromEntries(Object.entries(own).map(([name, [shape]]) => [name, shape]));
      return withDecoder(
        { ...stacked, tensors: { ...tensors, ...shapes } },
        async (checkpoint) => logitsOf({ network: await openNetwork(checkpoint), backend, windows: [stacked.ids] }),
        (name, shape) => (own[name] ? Array.from(own[name][1]) : valuesOf(stacked.seed, name, shape)),
      );
    };
    const dense = [...whole.slice(0, size), ...product, ...whole.slice(2 * size)];
    const [truth] = await logits({ [stack]: [[count, rows, cols], dense] });
    const [found] = await logits(parts);
    assert.ok(relativeDifference(found!, truth!) < TOLERANCE);
    const { [`${stack}.experts.1.lowrank_b.weight`]: left, ...others } = parts;
    const missing = { code: 'malformed', message: /needs the tensor .*experts\.gate_up_proj\[1\], which it lacks/ };
    await assert.rejects(logits(others), missing);
    const withLeft = (outputs: number, rank: number): typeof parts => ({
      ...others,
      [`${stack}.experts.1.lowrank_b.weight`]: [[outputs, rank], Array.from(left![1]).slice(0, outputs * rank)],
    });
    await assert.rejects(
      logits(withLeft(rows - 2, 5)),
      /gate_up_proj\[1\] has 46 x 32, its configuration says 48 x 32/,
    );
    await assert.rejects(logits(withLeft(rows, 4)), missing);
  });
});
