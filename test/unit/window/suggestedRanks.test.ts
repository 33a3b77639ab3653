import assert from 'node:assert/strict';
import { suggestedRanks } from '../../../src/window/evaluation/suggestedRanks.ts';

describe('the ranks that are suggested for a measurement', () => {
  const layer = (count: number, shape: readonly [number, number]) =>
    Array.from({ length: count }, (_, index) => ({ layer: index, shape }));
  for (const [name, matrices, ranks] of [
    ['4096 squared, which breaks even at 2048', layer(4, [4096, 4096]), [512, 1024, 1536, 1840]],
    ['small matrices', layer(3, [96, 96]), [12, 24, 36, 43]],
    ['matrices of a few rows', layer(3, [2, 9]), [1]],
    ['no layers at all', [{ layer: null, shape: [50_000, 64] as const }], [16, 32, 48, 56]],
  ] as const)
    it(`fit ${name}`, () => assert.deepEqual(suggestedRanks(matrices), ranks));
});
