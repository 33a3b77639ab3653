import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import type { Backend } from '../../../src/devices/backend.ts';
import { createCpuBackend } from '../../../src/devices/cpu/backend.ts';
import { openNetwork } from '../../../src/network/network.ts';
import { largestBlock } from '../../../src/network/passMemory.ts';
import { counted } from './countedBackend.ts';
import { type Case, withDecoder } from './decoders.ts';
import { logitsOf, relativeDifference } from './logits.ts';

const CASES = JSON.parse(readFileSync('test/fixtures/decoders/logits.json', 'utf8')) as Case[];
const MIXTRAL = CASES.find(({ kind }) => kind === 'mixtral')!;
const LLAMA = CASES.find(({ kind }) => kind === 'llama')!;

/** The case with as many layers and experts as asked for. */
function grown(one: Case, layers: number, experts: number): Case {
  const tensors = new Map<string, readonly number[]>();
  for (const [name, shape] of Object.entries(one.tensors)) {
    if (!/layers\.0\./.test(name)) {
      if (!/layers\.\d/.test(name)) tensors.set(name, shape);
      continue;
    }
    for (let layer = 0; layer < layers; layer++)
      for (let expert = 0; expert < experts; expert++)
        tensors.set(
          name.replace('layers.0.', `layers.${layer}.`).replace(/experts\.\d+\./, `experts.${expert}.`),
          /gate\.weight$/.test(name) && !/experts/.test(name) ? [experts, shape[1]!] : shape,
        );
  }
  const config = { ...one.config, num_hidden_layers: layers, num_local_experts: experts, vocab_size: 40 };
  return { ...one, config, tensors: Object.fromEntries(tensors) };
}

describe('memory of a forward pass', () => {
  let roomy: Backend;
  before(() => {
    roomy = createCpuBackend(1);
  });
  after(() => roomy.close());

  const peakOf = async (one: Case, windows: readonly (readonly number[])[]) =>
    withDecoder(one, async (checkpoint) => {
      const { backend, peak } = counted(roomy);
      const network = await openNetwork(checkpoint);
      await logitsOf({ network, backend, windows });
      const rows = windows.reduce((sum, { length }) => sum + length, 0);
      return { peak: peak(), foreseen: largestBlock(network, [], rows) };
    });

  it('does not grow with the number of layers or of experts', async () => {
    const window = Array.from({ length: 20 }, (_, i) => i % 32);
    const [small, deep, wide] = [grown(MIXTRAL, 2, 4), grown(MIXTRAL, 9, 4), grown(MIXTRAL, 2, 24)];
    const { foreseen } = await peakOf(small, [window]);
    // Of small blocks, the next one is read ahead.
    const bound = 2 * foreseen.weights + foreseen.activations;
    // Experts of all layers differ in how many tokens choose them.
    const { peak: ofDeep } = await peakOf(deep, [window]);
    assert.ok(ofDeep <= bound, `${ofDeep} bytes, not ${bound}`);
    // The router has a row for each expert, and a score of each token for it.
    const width = MIXTRAL.config.hidden_size as number;
    const routing = 4 * 20 * (width + window.length);
    const { peak: ofWide } = await peakOf(wide, [window]);
    assert.ok(ofWide <= bound + routing, `${ofWide} bytes, not ${bound + routing}`);
    const expert = 4 * 3 * width * (MIXTRAL.config.intermediate_size as number);
    assert.ok(bound + routing < 24 * expert, 'all experts together would not fit');
  });

  it('is what was foreseen from the shapes, for every architecture', async () => {
    for (const one of CASES) {
      const { peak, foreseen } = await peakOf(one, [one.ids, one.ids]);
      const { weights, activations } = foreseen;
      assert.ok(
        peak <= 2 * weights + activations,
        `${one.kind}: ${peak} bytes, foreseen ${weights} and ${activations}`,
      );
      assert.ok(peak >= weights, `${one.kind}: ${peak} bytes, foreseen ${weights}`);
    }
  });

  it('passes a head larger than the memory in stripes, with the same logits', async () => {
    const vocabulary = 60_000;
    const large = (name: string, shape: readonly number[]) =>
      /embed_tokens|lm_head/.test(name) ? [vocabulary, shape[1]!] : shape;
    const one = {
      ...LLAMA,
      config: { ...LLAMA.config, vocab_size: vocabulary },
      tensors: Object.fromEntries(Object.entries(LLAMA.tensors).map(([name, shape]) => [name, large(name, shape)])),
    };
    const small = createCpuBackend(1, { maximumPages: 96 });
    try {
      await withDecoder(one, async (checkpoint) => {
        const network = await openNetwork(checkpoint);
        const windows = [[1, 59_999, 7]];
        const { backend, peak } = counted(small);
        assert.ok(4 * vocabulary * (LLAMA.config.hidden_size as number) > small.capacity);
        const [own] = await logitsOf({ network, backend, windows });
        const [whole] = await logitsOf({ network, backend: roomy, windows });
        assert.ok(relativeDifference(own!, whole!) < 1e-6);
        assert.ok(peak() < small.capacity / 2, `${peak()} bytes`);
      });
    } finally {
      await small.close();
    }
  });
});
