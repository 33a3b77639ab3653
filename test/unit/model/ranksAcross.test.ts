import assert from 'node:assert/strict';
import type { ComparedLayer, ComparedUpdate } from '../../../src/model/comparison.ts';
import { ranksAcross } from '../../../src/model/ranksAcross.ts';

const update = (utilisedRank: number): ComparedUpdate => ({
  ...{ matrix: 'x', shape: [64, 64], rank: 16, scale: 1, norm: 1, effectiveRank: utilisedRank, utilisedRank },
  dead: utilisedRank === 0,
});
const layer = (index: number, module: string, ranks: readonly (number | null)[]): ComparedLayer => ({
  ...{ name: `layers.${index}.${module}`, layer: index, module, pairs: [] },
  updates: ranks.map((rank) => (rank === null ? null : update(rank))),
  merged: ranks.includes(null) ? null : { rank: 5, concatenated: 32, norm: 1 },
});
const adapters = [{ label: 'german' }, { label: 'french' }];

describe('ranks across adapters', () => {
  it('are means by module that leave out what is zero or not adapted, and sums over the layers', () => {
    const layers = [layer(0, 'q', [4, 0]), layer(1, 'q', [6, 5]), layer(0, 'v', [3, null])];
    const { modules, merged, rank } = ranksAcross(adapters, layers);
    assert.deepEqual(modules, [
      { module: 'q', effective: [5, 5], utilised: [6, 5], merged: { rank: 10, concatenated: 64 } },
      { module: 'v', effective: [3, null], utilised: [3, null], merged: null },
    ]);
    assert.deepEqual(merged, { rank: 10, concatenated: 64, largest: 5 });
    assert.deepEqual(rank, { all: 6, most: 6 });
  });

  it('are one rank for all where nearly all need it', () => {
    const layers = Array.from({ length: 10 }, (_, index) => layer(index, 'q', [4, index === 3 ? 6 : 4]));
    assert.match(ranksAcross(adapters, layers).sentence, /^Rank 6 serves all 2 adapters/);
  });

  it('name where one rank does not suffice, worst first', () => {
    const layers = Array.from({ length: 20 }, (_, index) =>
      layer(index, index === 7 ? 'down' : 'q', [index === 7 ? 16 : 4, index === 9 ? 12 : 4]),
    );
    assert.equal(
      ranksAcross(adapters, layers).sentence,
      'No one rank serves all 2 adapters well: rank 4 holds 99 % of the energy of nine in ten updates, but up to 16 are needed in down of german (16), q of french (12).',
    );
  });

  it('are none where all updates are zero', () => {
    const { rank, sentence } = ranksAcross(adapters, [layer(0, 'q', [0, 0])]);
    assert.deepEqual([rank, sentence], [null, 'All updates are zero.']);
  });
});
