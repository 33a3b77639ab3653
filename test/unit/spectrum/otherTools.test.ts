import assert from 'node:assert/strict';
import { seededRandom } from '../../../src/base/random.ts';
import { createService } from '../../../src/service/service.ts';
import { type Dense, differenceOf, runOtherTools, SHARED } from '../../bench/otherTools.ts';
import { testFolder } from '../formats/folder.ts';

/** Weights of a few kinds: noise, noise with a few strong directions, and a heavy tail. */
function samples(): Dense[] {
  const random = seededRandom(11);
  const noise = (m: number, n: number, deviation: number) =>
    Float32Array.from({ length: m * n }, () => deviation * random.normal());
  const spiked = noise(120, 80, 0.05);
  for (let strength = 3; strength > 0; strength -= 0.25) {
    const [left, right] = [120, 80].map((size) => Float64Array.from({ length: size }, () => random.normal()));
    for (let at = 0; at < spiked.length; at++)
      spiked[at]! += (strength * left![Math.floor(at / 80)]! * right![at % 80]!) / 100;
  }
  // A diagonal has its entries as singular values.
  const heavy = new Float32Array(90 * 100);
  for (let k = 0; k < 90; k++) heavy[k * 100 + k] = (k + 1) ** -0.45 * (1 + 0.02 * random.uniform());
  return [
    { name: 'noise.weight', shape: [96, 64], values: noise(96, 64, 0.1) },
    { name: 'spiked.weight', shape: [120, 80], values: spiked },
    { name: 'heavy.weight', shape: [90, 100], values: heavy },
    { name: 'small.weight', shape: [20, 30], values: noise(20, 30, 1) },
  ];
}

describe('the measures that other tools define alike', () => {
  const folder = testFolder();

  it('agree with WeightWatcher and diffract-core', async function () {
    this.timeout(240_000);
    const python = process.env.RANKSCOPE_WEIGHTWATCHER;
    if (!python) {
      this.test!.title += ' (RANKSCOPE_WEIGHTWATCHER names no Python with weightwatcher and diffract-core)';
      this.skip();
    }
    const matrices = samples();
    const path = folder.path('matrices.safetensors');
    const tools = runOtherTools(python, matrices, path);
    const service = createService({});
    try {
      const { matrices: findings } = await service.analyze({ path, values: true, cache: false });
      assert.equal(findings.length, matrices.length);
      for (const { title, tool, values } of SHARED) {
        let compared = 0;
        for (const ours of findings) {
          const pair = values(tools[tool].matrices[ours.name]!, ours);
          if (!pair) continue;
          compared++;
          // The values of f32 arithmetic, and sums of a hundred logarithms of them.
          const bound = 100 * 2 ** -23 * Math.max(...ours.shape);
          assert.ok(differenceOf(pair) < bound, `${tool}, ${title} of ${ours.name}: ${pair.join(' and ')}`);
        }
        assert.ok(compared >= 2, `${tool}, ${title}: ${compared} compared`);
      }
    } finally {
      await service.close();
    }
  });
});
