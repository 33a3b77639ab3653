import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import type { Backend } from '../../../src/devices/backend.ts';
import { createCpuBackend } from '../../../src/devices/cpu/backend.ts';
import { openNetwork } from '../../../src/network/network.ts';
import { python } from '../formats/python.ts';
import { type Case, withDecoder } from './decoders.ts';
import { differenceFrom, logitsOf } from './logits.ts';

const CASES = JSON.parse(readFileSync('test/fixtures/decoders/logits.json', 'utf8')) as Case[];
/** Relative to the largest logit, in f32 on both sides. */
const TOLERANCE = 1e-4;

describe('forward pass', () => {
  let backend: Backend;
  before(() => {
    backend = createCpuBackend(2);
  });
  after(() => backend.close());

  for (const known of CASES)
    it(`computes the logits that transformers computes for ${known.kind}`, async () => {
      const difference = await withDecoder(known, async (checkpoint) => {
        const network = await openNetwork(checkpoint);
        return differenceFrom(known, (await logitsOf({ network, backend, windows: [known.ids] }))[0]!);
      });
      assert.ok(difference < TOLERANCE, `relative difference ${difference}`);
    });

  it('uses the head of a file that has one, though its configuration ties it to the embedding', async () => {
    const tied = CASES.find(({ kind }) => kind === 'llama')!;
    const tensors = { ...tied.tensors, 'lm_head.weight': tied.tensors['model.embed_tokens.weight']! };
    const [own, untied] = await Promise.all(
      [true, false].map((tie) =>
        withDecoder({ ...tied, tensors, config: { ...tied.config, tie_word_embeddings: tie } }, async (checkpoint) =>
          logitsOf({ network: await openNetwork(checkpoint), backend, windows: [tied.ids] }),
        ),
      ),
    );
    assert.deepEqual(own, untied);
    assert.ok(differenceFrom(tied, own![0]!) > 0.1);
  });

  it('agrees with transformers on models that it makes now, with other weights and tokens', async function () {
    this.timeout(300_000);
    const script = readFileSync('test/python/decoders.py', 'utf8');
    const cases = python(this, ['torch', 'transformers', 'safetensors'], script, '2') as Case[];
    assert.equal(cases.length, CASES.length);
    for (const known of cases) {
      const difference = await withDecoder(known, async (checkpoint) => {
        const network = await openNetwork(checkpoint);
        return differenceFrom(known, (await logitsOf({ network, backend, windows: [known.ids] }))[0]!);
      });
      assert.ok(difference < TOLERANCE, `${known.kind}: relative difference ${difference}`);
    }
  });
});
