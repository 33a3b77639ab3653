import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import type { Backend } from '../../../src/devices/backend.ts';
import { createCpuBackend } from '../../../src/devices/cpu/backend.ts';
import { createReferenceBackend } from '../../../src/devices/reference/backend.ts';
import { forward } from '../../../src/network/forward.ts';
import { openNetwork } from '../../../src/network/network.ts';
import { Scores } from '../../../src/network/score.ts';
import { type Case, valuesOf, withDecoder } from './decoders.ts';
import { logitsOf } from './logits.ts';

const CASES = JSON.parse(readFileSync('test/fixtures/decoders/logits.json', 'utf8')) as Case[];
const LLAMA = CASES.find(({ kind }) => kind === 'llama')!;
const BIASED = CASES.find(({ kind }) => kind.startsWith('llama biases'))!;

describe('what a forward pass refuses', () => {
  let backend: Backend;
  before(() => {
    backend = createCpuBackend(1);
  });
  after(() => backend.close());

  const passing = (
    changed: Partial<Case>,
    { ids = LLAMA.ids, values }: { ids?: readonly number[]; values?: Values } = {},
  ) =>
    withDecoder(
      { ...LLAMA, ...changed },
      async (checkpoint) => logitsOf({ network: await openNetwork(checkpoint), backend, windows: [ids] }),
      values,
    );
  const configured = (settings: object) => ({ config: { ...LLAMA.config, ...settings } });

  it('an unknown architecture, by its name', () =>
    assert.rejects(passing(configured({ model_type: 'mamba' })), { code: 'unsupported', message: /"mamba"/ }));

  it('a scaling of rotary positions that is not known, by its name', () =>
    assert.rejects(passing(configured({ rope_parameters: { rope_theta: 1e4, rope_type: 'spiral' } })), {
      code: 'malformed',
      message: /"spiral"/,
    }));

  it('an activation function that is not known, by its name', () =>
    assert.rejects(passing(configured({ hidden_act: 'mish' })), { code: 'malformed', message: /"mish"/ }));

  it('a configuration that contradicts the tensors, with both sizes', async () => {
    await assert.rejects(passing(configured({ intermediate_size: 64 })), { message: /48 x 32.* 64 x 32/ });
    await assert.rejects(passing(configured({ num_hidden_layers: 3 })), { message: /2 layers.* 3/ });
    await assert.rejects(passing(configured({ num_key_value_heads: 4 })), { message: /16 x 32.* 32 x 32/ });
    await assert.rejects(passing(configured({ num_key_value_heads: 3 })), { message: /num_key_value_heads/ });
  });

  it('hostile sizes in a configuration, before memory is taken', async () => {
    for (const settings of [
      { num_hidden_layers: 1e12 },
      { num_hidden_layers: -1 },
      { num_attention_heads: 'four' },
      { hidden_size: 1e300 },
      { rms_norm_eps: 'NaN' },
      { rope_parameters: { rope_theta: 0, rope_type: 'default' } },
      { rope_parameters: [] },
      { rms_norm_eps: -1 },
      { rope_parameters: { rope_theta: 1e4, rope_type: 'linear', factor: 0 } },
      { rope_parameters: { rope_theta: 1e4, rope_type: 'yarn', factor: 0 } },
      { rope_parameters: { rope_theta: 1e4, rope_type: 'dynamic', factor: -3 } },
    ])
      await assert.rejects(passing(configured(settings)), { code: 'malformed' }, JSON.stringify(settings));
  });

  it('a tensor that is missing, by its name', async () => {
    for (const name of ['model.layers.1.self_attn.v_proj.weight', 'model.norm.weight']) {
      const others = Object.fromEntries(Object.entries(LLAMA.tensors).filter(([other]) => other !== name));
      await assert.rejects(passing({ tensors: others }), (error: Error) => error.message.includes(name));
    }
  });

  it('a bias that some layers have and others lack', async () => {
    const name = 'model.layers.1.self_attn.q_proj.bias';
    const others = Object.fromEntries(Object.entries(BIASED.tensors).filter(([other]) => other !== name));
    await assert.rejects(passing({ ...BIASED, tensors: others }), (error: Error) => error.message.includes(name));
  });

  it('a bias that the configuration denies, unless it is zero', async () => {
    const denied = { ...BIASED, config: { ...BIASED.config, attention_bias: false } };
    await assert.rejects(passing(denied), { code: 'malformed', message: /q_proj\.bias.*"attention_bias": false/ });
    const values: Values = (name, shape) => {
      const own = valuesOf(BIASED.seed, name, shape);
      return /self_attn.*bias$/.test(name) ? own.map(() => 0) : own;
    };
    assert.deepEqual(await passing(denied, { values }), await passing(BIASED, { values }));
  });

  it('a vocabulary that does not fit the embedding, with both sizes', () =>
    assert.rejects(passing(configured({ vocab_size: 41 })), { code: 'malformed', message: /40 x 32.* 41 x/ }));

  it('NaN in a weight, by the name of its tensor', () =>
    assert.rejects(
      passing(
        {},
        {
          values: (name, shape) => {
            const values = [...valuesOf(LLAMA.seed, name, shape)];
            if (name === 'model.layers.1.mlp.down_proj.weight') values[7] = Number.NaN;
            return values;
          },
        },
      ),
      { code: 'not-finite', message: /layers\.1\.mlp\.down_proj/ },
    ));

  it('logits that are not finite, by network, position and window', () =>
    withDecoder(
      LLAMA,
      async (checkpoint) => {
        const scores = new Scores({ backend, windows: [LLAMA.ids], names: [], subject: checkpoint.path });
        const network = await openNetwork(checkpoint);
        await assert.rejects(forward({ network, backend, windows: [LLAMA.ids], take: scores.take }), {
          code: 'not-finite',
          message: /the dense network has a logit .* position 1 of window 1/,
        });
      },
      (name, shape) =>
        valuesOf(LLAMA.seed, name, shape).map((value) => (name.includes('embed') ? value * 3e38 : value * 1e3)),
    ));

  it('a token that the embedding lacks', () =>
    assert.rejects(passing({}, { ids: [1, 40] }), { code: 'wrong-use', message: /no row 40/ }));

  it('a device with too little memory for one block, with the number of bytes, before anything is read', async () => {
    const small = createReferenceBackend({ memoryLimit: 60_000 });
    const unread = {
      ...small,
      allocate: () => assert.fail('memory was taken'),
    };
    await withDecoder(LLAMA, async (checkpoint) => {
      const network = await openNetwork(checkpoint);
      await assert.rejects(logitsOf({ network, backend: unread, windows: [LLAMA.ids] }), {
        code: 'too-large',
        message: /block 1 needs [\d.]+ KB, [\d.]+ KB for its weights and [\d.]+ KB for \d+ tokens; .* 30 KB/,
      });
    });
  });

  it('reports its progress up to 1, and stops when it is cancelled', () =>
    withDecoder(LLAMA, async (checkpoint) => {
      const network = await openNetwork(checkpoint);
      const windows = [LLAMA.ids];
      const shares: number[] = [];
      await forward({ network, backend, windows, take() {}, progress: (share) => shares.push(share) });
      assert.equal(shares.at(-1), 1);
      assert.deepEqual(
        shares,
        [...shares].sort((a, b) => a - b),
      );
      const controller = new AbortController();
      const progress = () => controller.abort();
      const { signal } = controller;
      await assert.rejects(forward({ network, backend, windows, take() {}, progress, signal }), { code: 'cancelled' });
      // The device is still usable.
      await forward({ network, backend, windows, take() {} });
    }));
});

type Values = (name: string, shape: readonly number[]) => readonly number[];
