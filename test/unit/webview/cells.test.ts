import assert from 'node:assert/strict';
import { CELL, paintCells, shareOf } from '../../../webview/charts/cells.ts';
import type { Layout } from '../../../webview/charts/layout.ts';
import { cellValues } from '../../../webview/inspector/cellValues.ts';
import { BASES, MEASURES, measureById, shownValue } from '../../../webview/inspector/measures.ts';
import { COLOR_SCALE } from '../../../webview/ui/colorScale.ts';
import { finding } from './findings.ts';

const effective = measureById('effectiveRank');
const neutral = { pending: [1, 2, 3, 255], skipped: [4, 5, 6, 255] } as const;

/** The names in this order, without groups. */
function layoutOf(names: readonly string[]): Pick<Layout, 'matrices' | 'groups'> {
  const matrices = names.map((name) => ({ name, layer: null, module: name, shape: [64, 32], dtype: 'F32' }) as const);
  return { matrices, groups: [] };
}

describe('cells', () => {
  const findings = new Map(
    [
      finding('low', { effectiveRank: 8 }),
      finding('high', { effectiveRank: 32 }),
      finding('guess', { effectiveRank: 20, provenance: 'preview' }),
    ].map((one) => [one.name, one]),
  );
  const values = cellValues(
    layoutOf(['low', 'high', 'guess', 'waiting', 'broken']),
    findings,
    new Map([['broken', 'not finite']]),
    effective,
    'full',
  );

  it('tell exact, previewed, pending and skipped matrices apart', () =>
    assert.deepEqual([...values.states], [CELL.exact, CELL.exact, CELL.preview, CELL.pending, CELL.skipped]));

  it('lie on the scale between the lowest and the highest value', () => {
    assert.deepEqual(values.domain, [0.25, 1]);
    assert.deepEqual([...values.shares], [0, 1, 0.5, Number.NaN, Number.NaN]);
  });

  it('are painted as one pixel each, empty places left out', () => {
    const pixels = paintCells(Int32Array.of(1, -1, 0, 3, 4, 2), values, neutral);
    const pixel = (index: number) => [...pixels.subarray(index * 4, index * 4 + 4)];
    assert.deepEqual(pixel(0), [...COLOR_SCALE.slice(-3), 255]);
    assert.deepEqual(pixel(1), [0, 0, 0, 0]);
    assert.deepEqual(pixel(2), [...COLOR_SCALE.slice(0, 3), 255]);
    assert.deepEqual(pixel(3), [...neutral.pending]);
    assert.deepEqual(pixel(4), [...neutral.skipped]);
    assert.ok(pixel(5)[3]! > 0 && pixel(5)[3]! < 255, 'a preview is a little transparent');
  });

  it('without any value have no scale', () =>
    assert.equal(cellValues(layoutOf(['waiting']), new Map(), new Map(), effective, 'full').domain, null));
});

describe('position on the colour scale', () => {
  it('is the middle if all values are the same', () => assert.equal(shareOf(3, [3, 3], 'linear'), 0.5));
  it('follows the logarithm for norms', () => assert.ok(Math.abs(shareOf(10, [1, 100], 'log') - 0.5) < 1e-12));
  it('gives a norm of zero the lowest colour', () => {
    assert.equal(shareOf(0, [0, 5], 'log'), 0);
    assert.equal(shareOf(5, [0, 5], 'log'), 1);
    assert.equal(shareOf(0, [0, 0], 'log'), 0.5);
  });
});

describe('measures', () => {
  it('cover every number of a finding', () => {
    const quantization = { quantizationDeviation: 0.03, quantizationEdge: 0.7, quantizationRank: 27 };
    const one = finding('x', { alpha: 3, alphaDistance: 0.04, ...quantization });
    const numbers = Object.entries(one)
      .filter(([name, value]) => typeof value === 'number' && name !== 'layer' && name !== 'seconds')
      .map(([, value]) => value as number);
    const covered = new Set(MEASURES.map((measure) => measure.value(one)));
    for (const number of [...numbers, ...Object.values(one.energyRanks)]) assert.ok(covered.has(number), `${number}`);
  });

  it('show ranks relative to the full rank or the break-even rank, and other numbers unchanged', () => {
    const one = finding('x');
    assert.deepEqual(
      BASES.map(({ id }) => shownValue(effective, id, one)),
      [16 / 32, 16 / 21, 16],
    );
    assert.equal(shownValue(measureById('spectralNorm'), 'full', one), 8);
    assert.equal(shownValue(measureById('alpha'), 'full', one), null);
  });
});
