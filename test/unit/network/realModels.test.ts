import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { openCheckpoint } from '../../../src/checkpoint/open.ts';
import type { Backend } from '../../../src/devices/backend.ts';
import { createCpuBackend } from '../../../src/devices/cpu/backend.ts';
import { openNetwork } from '../../../src/network/network.ts';
import { checkpointPath } from '../formats/checkpointFiles.ts';
import { logitsOf } from './logits.ts';

interface Reference {
  readonly eval: Readonly<Record<string, { readonly ids: readonly number[]; readonly ppl: number }>>;
}

describe('perplexity of real models', () => {
  let backend: Backend;
  before(() => {
    backend = createCpuBackend(2);
  });
  after(() => backend.close());

  for (const [file, tolerance] of [
    ['stories260K-hf/model.safetensors', 1e-5],
    ['stories260K-hf/legacy_nested_nonzip.pth', 1e-5],
    ['stories260K-sharded', 1e-5],
    ['stories260K-gguf/stories260K.F32.gguf', 1e-5],
    // Rounded weights are another model, close to it.
    ['stories260K-gguf/stories260K.F16.gguf', 0.002],
    ['stories260K-gguf/stories260K.Q8_0.gguf', 0.05],
    ['stories260K-gguf/stories260K.Q5_1.gguf', 0.2],
  ] as const)
    it(`of ${file} on three texts agrees with transformers within ${tolerance}`, async function () {
      const path = checkpointPath(this, file);
      const reference = JSON.parse(
        readFileSync(checkpointPath(this, 'stories260K-hf/eval_reference.json'), 'utf8'),
      ) as Reference;
      for (const [text, { ids, ppl }] of Object.entries(reference.eval)) {
        const own = await perplexity(backend, path, [ids]);
        assert.ok(Math.abs(own / ppl - 1) < tolerance, `${text}: ${own}, not ${ppl}`);
      }
    });
});

/** exp of the mean negative log likelihood of all tokens but the first of each window. */
async function perplexity(backend: Backend, path: string, windows: readonly (readonly number[])[]): Promise<number> {
  const checkpoint = await openCheckpoint(path);
  try {
    const [logits] = await logitsOf({ network: await openNetwork(checkpoint), backend, windows });
    const following = windows.flatMap((window) => window.map((_, position) => window[position + 1]));
    const vocabulary = logits!.length / following.length;
    let [loss, count] = [0, 0];
    for (const [row, next] of following.entries()) {
      if (next === undefined) continue;
      const own = logits!.subarray(row * vocabulary, (row + 1) * vocabulary);
      const largest = own.reduce((most, logit) => Math.max(most, logit));
      const total = own.reduce((sum, logit) => sum + Math.exp(logit - largest), 0);
      loss += largest + Math.log(total) - own[next]!;
      count++;
    }
    return Math.exp(loss / count);
  } finally {
    await checkpoint.close();
  }
}
