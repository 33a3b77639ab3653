import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import type { Backend } from '../../src/devices/backend.ts';
import { forward } from '../../src/network/forward.ts';
import { openNetwork } from '../../src/network/network.ts';
import { Scores } from '../../src/network/score.ts';
import { type Case, withDecoder } from '../unit/network/decoders.ts';
import { differenceFrom, logitsOf } from '../unit/network/logits.ts';
import { BACKENDS } from './backends.ts';

const CASES = JSON.parse(readFileSync('test/fixtures/decoders/logits.json', 'utf8')) as Case[];
/** One with each operation that the others lack. */
const KINDS = ['llama', 'gemma2', 'phi3', 'gpt_neox', 'qwen2_moe', 'opt'];

for (const { name, open } of BACKENDS)
  describe(`forward pass on ${name}`, function () {
    this.timeout(120_000);
    let backend: Backend;
    before(async () => {
      backend = await open();
    });
    after(() => backend?.close());

    for (const known of CASES.filter(({ kind }) => KINDS.includes(kind)))
      it(`has the logits of transformers for ${known.kind}, and finite scores`, () =>
        withDecoder(known, async (checkpoint) => {
          const network = await openNetwork(checkpoint);
          const windows = [known.ids];
          const [logits] = await logitsOf({ network, backend, windows });
          assert.ok(differenceFrom(known, logits!) < 1e-4);
          const scores = new Scores({ backend, windows, names: [], subject: known.kind });
          await forward({ network, backend, windows, take: scores.take });
          assert.ok(Number.isFinite(scores.result().dense.perplexity));
        }));
  });
