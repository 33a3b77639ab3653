import assert from 'node:assert/strict';
import type { AdapterComparison, ComparedLayer, ComparedUpdate } from '../../../src/model/comparison.ts';
import { comparisonCsv } from '../../../webview/comparison/csv.ts';
import { chanceOverlap, columnsOf, comparisonMeasure, formatCosine } from '../../../webview/comparison/measures.ts';
import { restoreComparisonView } from '../../../webview/comparison/viewState.ts';

const update = (norm: number): ComparedUpdate => ({
  matrix: 'x',
  shape: [8, 8],
  rank: 4,
  scale: 2,
  norm,
  effectiveRank: 2.5,
  utilisedRank: 3,
  dead: norm === 0,
});
const pair = (first: number, second: number, cosine: number | null) => ({
  first,
  second,
  cosine,
  overlapLeft: cosine === null ? null : 0.5,
  overlapRight: null,
});
const adapter = (label: string) => ({
  path: label,
  name: null,
  label,
  naming: 'peft',
  base: null,
  layers: 1,
  norm: 1,
  dead: 0,
});
const layer: ComparedLayer = {
  name: '=x',
  layer: 0,
  module: 'x',
  updates: [update(4), null, update(0), update(2)],
  pairs: [pair(0, 2, null), pair(0, 3, -0.5), pair(2, 3, null)],
  merged: { rank: 3, concatenated: 12, norm: 5 },
};
const comparison: AdapterComparison = {
  format: 'rankscope.comparison/1',
  adapters: ['a', 'b', 'c', 'd'].map(adapter),
  remarks: [],
  layers: [layer],
  pairs: [
    [0, 1],
    [0, 2],
    [0, 3],
    [1, 2],
    [1, 3],
    [2, 3],
  ].map(([first, second]) => pair(first!, second!, null)),
  across: { modules: [], merged: null, rank: null, sentence: '' },
  skipped: [],
};

describe('the columns of a comparison', () => {
  it('of pairs keep the order of all pairs, even if a layer lacks some', () => {
    const columns = columnsOf(comparison, comparisonMeasure('cosine'));
    assert.deepEqual(
      columns.map(({ head, text, share }) => [head, text(layer), share(layer)]),
      [
        ['a · b', '–', null],
        ['a · c', '–', null],
        ['a · d', '−0.50', 0.25],
        ['b · c', '–', null],
        ['b · d', '–', null],
        ['c · d', '–', null],
      ],
    );
  });

  it('of adapters are coloured from zero to the highest value, except dead and missing updates', () => {
    const columns = columnsOf(comparison, comparisonMeasure('norm'));
    assert.deepEqual(
      columns.map(({ head, text, value, share }) => [head, text(layer), value(layer), share(layer)]),
      [
        ['a', '4', 4, 1],
        ['b', '–', null, null],
        ['c', 'dead', null, null],
        ['d', '2', 2, 0.5],
      ],
    );
    assert.equal(columnsOf(comparison, comparisonMeasure('utilisedRank'))[0]!.text(layer), '3 of 4');
  });

  it('show zero cosines without a sign, and the overlap expected by chance', () => {
    assert.deepEqual([-0.001, 0.999, null].map(formatCosine), ['0.00', '1.00', '–']);
    assert.deepEqual([chanceOverlap(4, 2, 16), chanceOverlap(4, 2, 3)], [0.25, 1]);
  });

  it('have a CSV cell for each number, none of which a spreadsheet would run', () => {
    const [head, line] = comparisonCsv(comparison).trimEnd().split('\r\n');
    assert.equal(head!.split(',').length, 3 + 4 * 6 + 6 * 3 + 3);
    assert.equal(line!.split(',').length, head!.split(',').length);
    assert.ok(line!.startsWith("'=x,0,x,4,4,3,2.5,2,false,,,"));
  });
});

describe('the view state of a comparison', () => {
  it('is validated when it is restored', () => {
    const first = { measure: 'cosine', layer: null, paths: [] };
    for (const kept of [undefined, null, 7, { measure: 'x', layer: 3, paths: 'a' }])
      assert.deepEqual(restoreComparisonView(kept), first);
    const own = { measure: 'norm', layer: 'x', paths: ['a', 'b'] };
    assert.deepEqual(restoreComparisonView(own), own);
  });
});
