import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import type { Backend } from '../../../src/devices/backend.ts';
import { createCpuBackend } from '../../../src/devices/cpu/backend.ts';
import { type ForwardRequest, forward } from '../../../src/network/forward.ts';
import { openNetwork } from '../../../src/network/network.ts';
import { python } from '../formats/python.ts';
import { type Case, withDecoder } from './decoders.ts';

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
        return differenceFrom(known, await logitsOf({ network, backend, windows: [known.ids] }));
      });
      assert.ok(difference < TOLERANCE, `relative difference ${difference}`);
    });

  it('agrees with transformers on models that it makes now, with other weights and tokens', async function () {
    this.timeout(300_000);
    const script = readFileSync('test/python/decoders.py', 'utf8');
    const cases = python(this, ['torch', 'transformers', 'safetensors'], script, '2') as Case[];
    assert.equal(cases.length, CASES.length);
    for (const known of cases) {
      const difference = await withDecoder(known, async (checkpoint) => {
        const network = await openNetwork(checkpoint);
        return differenceFrom(known, await logitsOf({ network, backend, windows: [known.ids] }));
      });
      assert.ok(difference < TOLERANCE, `${known.kind}: relative difference ${difference}`);
    }
  });
});

/** All logits of the windows, a matrix for the dense network and each variant. */
async function logitsOf(request: Omit<ForwardRequest, 'take'>): Promise<Float32Array[]> {
  const slices: Float32Array[][] = [];
  await forward({ ...request, take: ({ logits }) => void slices.push([...logits]) });
  return slices[0]!.map((_, stream) => Float32Array.from(slices.flatMap((slice) => [...slice[stream]!])));
}

/** The largest difference from the known logits, relative to the largest of them. */
function differenceFrom({ rows, logits }: Case, [own]: readonly Float32Array[]): number {
  const vocabulary = logits[0]!.length;
  let [largest, difference] = [0, 0];
  for (const [k, row] of rows.entries())
    for (const [i, expected] of logits[k]!.entries()) {
      largest = Math.max(largest, Math.abs(expected));
      difference = Math.max(difference, Math.abs(own![row * vocabulary + i]! - expected));
    }
  return difference / largest;
}
