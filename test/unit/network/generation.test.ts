import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import type { Backend, Matrix } from '../../../src/devices/backend.ts';
import { createCpuBackend } from '../../../src/devices/cpu/backend.ts';
import { continueGreedily, likeliestTokens } from '../../../src/network/generation/continuePrompt.ts';
import { ResidentNetwork } from '../../../src/network/generation/residentNetwork.ts';
import { type Network, openNetwork } from '../../../src/network/network.ts';
import { type Case, valuesOf, withDecoder } from './decoders.ts';
import { logitsOf, relativeDifference } from './logits.ts';

const CASES = JSON.parse(readFileSync('test/fixtures/decoders/logits.json', 'utf8')) as Case[];
const LLAMA = CASES.find(({ kind }) => kind === 'llama')!;
/** The same sums in another order. */
const TOLERANCE = 1e-5;

describe('a network with a cache of keys and values', () => {
  let backend: Backend;
  before(() => {
    backend = createCpuBackend(2);
  });
  after(() => backend.close());

  const resident = <Result>(known: Case, use: (loaded: ResidentNetwork, network: Network) => Promise<Result>) =>
    withDecoder(known, async (checkpoint) => {
      const network = await openNetwork(checkpoint);
      const loaded = await ResidentNetwork.load(network, backend);
      try {
        return await use(loaded, network);
      } finally {
        loaded.free();
      }
    });
  /** The logits of all ids, passed in parts of these lengths. */
  const inParts = async (loaded: ResidentNetwork, ids: readonly number[], lengths: readonly number[]) => {
    const rows: Float32Array[] = [];
    loaded.begin(ids.length);
    let at = 0;
    for (const length of lengths) {
      await loaded.pass(ids.slice(at, at + length), 0, (logits) => rows.push(logits.slice()));
      at += length;
    }
    return rows;
  };
  const joined = (rows: readonly Float32Array[]) => Float32Array.from(rows.flatMap((row) => [...row]));

  for (const known of CASES)
    it(`computes token by token the logits of a pass of the whole window for ${known.kind}`, () =>
      resident(known, async (loaded, network) => {
        const { ids } = known;
        const passed = async (length: number) =>
          (await logitsOf({ network, backend, windows: [ids.slice(0, length)] }))[0]!;
        const whole = await passed(ids.length);
        // The frequencies of some rotary positions depend on the length of the window that is known so far.
        const grows = /dynamic|long/.test(known.kind);
        for (const lengths of [
          [3, ...ids.slice(3).map(() => 1)],
          [1, 5, ids.length - 6],
        ]) {
          const rows = await inParts(loaded, ids, lengths);
          const vocabulary = rows[0]!.length;
          let at = 0;
          for (const length of lengths) {
            at += length;
            const expected = (grows ? await passed(at) : whole).subarray((at - length) * vocabulary, at * vocabulary);
            const difference = relativeDifference(joined(rows.slice(at - length, at)), expected);
            assert.ok(difference < TOLERANCE, `${length} tokens up to ${at}: relative difference ${difference}`);
          }
        }
      }));

  it('keeps nothing of an earlier window', () =>
    resident(LLAMA, async (loaded) => {
      const other = [...LLAMA.ids].reverse();
      const ones = LLAMA.ids.map(() => 1);
      const first = joined(await inParts(loaded, LLAMA.ids, ones));
      const between = joined(await inParts(loaded, other, [other.length]));
      assert.ok(relativeDifference(between, first) > 0.01);
      assert.deepEqual(joined(await inParts(loaded, LLAMA.ids, ones)), first);
    }));

  it('continues a prompt with the token that a pass of all tokens before it finds most likely', () =>
    resident(LLAMA, async (loaded, network) => {
      const prompt = LLAMA.ids.slice(0, 4);
      const given: number[] = [];
      const options = { tokens: 8, ends: new Set<number>(), onToken: (id: number) => given.push(id) };
      const { ids, ended } = await continueGreedily(loaded, prompt, options);
      assert.deepEqual([ids.length, ended], [8, false]);
      assert.deepEqual(given, ids);
      const text = [...prompt];
      for (const id of ids) {
        const [logits] = await logitsOf({ network, backend, windows: [text] });
        const last = [...logits!.subarray(logits!.length - 40)];
        assert.equal(id, last.indexOf(Math.max(...last)));
        text.push(id);
      }
      assert.deepEqual(await likeliestTokens(loaded, text.slice(0, -1), prompt.length - 1), ids);
      const third = ids[2]!;
      const stopped = await continueGreedily(loaded, prompt, { tokens: 8, ends: new Set([third]) });
      assert.deepEqual(stopped.ids, ids.slice(0, ids.indexOf(third) + 1));
      assert.equal(stopped.ended, true);
    }));

  it('frees all that it has read, also if a block cannot be read', async () => {
    const taken = new Set<Matrix>();
    const counted: Partial<Backend> = {
      async allocate(rows, cols) {
        const matrix = await backend.allocate(rows, cols);
        taken.add(matrix);
        return matrix;
      },
      free(matrix) {
        taken.delete(matrix);
        backend.free(matrix);
      },
    };
    const counting = new Proxy(backend, {
      get(target, key: keyof Backend) {
        const own = counted[key] ?? target[key];
        return typeof own === 'function' ? own.bind(target) : own;
      },
    });
    await withDecoder(LLAMA, async (checkpoint) => {
      const loaded = await ResidentNetwork.load(await openNetwork(checkpoint), counting);
      assert.ok(taken.size > 14);
      loaded.begin(3);
      await loaded.pass([1, 2, 3], 0, () => undefined);
      loaded.free();
      assert.equal(taken.size, 0);
    });
    const last = 'model.layers.1.mlp.down_proj.weight';
    await withDecoder(
      LLAMA,
      async (checkpoint) => {
        const loading = ResidentNetwork.load(await openNetwork(checkpoint), counting);
        await assert.rejects(loading, { code: 'not-finite', message: /layers\.1\.mlp\.down_proj/ });
      },
      (name, shape) => valuesOf(LLAMA.seed, name, shape).map((value) => (name === last ? Number.NaN : value)),
    );
    assert.equal(taken.size, 0);
  });
});
