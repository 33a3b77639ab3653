import assert from 'node:assert/strict';
import type { MatrixView } from '../../../src/protocol/service.ts';
import { cellText, shortValue } from '../../../webview/inspector/cellText.ts';
import { measureById } from '../../../webview/inspector/measures.ts';
import { finding } from './findings.ts';

const matrix: MatrixView = { name: 'x', layer: 3, module: 'self_attn.q_proj', shape: [64, 32], dtype: 'F32' };
const effective = measureById('effectiveRank');

describe('text of a cell', () => {
  it('shows a rank with its reference', () => {
    assert.deepEqual(cellText(matrix, finding('x'), undefined, effective, 'full'), {
      place: 'Layer 3, self_attn.q_proj',
      value: '16 of 32 (50 %)',
      status: 'exact',
    });
    assert.equal(
      cellText(matrix, finding('x'), undefined, effective, 'breakEven').value,
      '16 of break-even 21 (76.2 %)',
    );
    assert.equal(cellText(matrix, finding('x'), undefined, effective, 'absolute').value, '16');
  });

  it('shows a preview with its band', () => {
    const band = {
      effectiveRank: [15.5, 16.4],
      effectiveRankEnergy: [11, 13],
      stableRank: [6, 6.5],
      energyRanks: { '0.9': [8, 10], '0.95': [13, 15], '0.99': [24, 26], '0.999': [29, 31] },
    } as const;
    const preview = finding('x', { provenance: 'preview', band });
    const status = (id: string) => cellText(matrix, preview, undefined, measureById(id), 'full').status;
    assert.equal(status('effectiveRank'), 'preview, between 15.5 and 16.4');
    assert.equal(status('energyRank0.95'), 'preview, between 13 and 15');
    assert.equal(status('spectralNorm'), 'preview');
  });

  it('shows ranks of W X and of the difference, with the tokens that they come from', () => {
    const { frobeniusNorm, spectralNorm, stableRank, participationRatio, numericalRank } = finding('x');
    const activations = {
      ...{ frobeniusNorm, spectralNorm, stableRank, participationRatio, numericalRank },
      ...{ effectiveRank: 4, effectiveRankEnergy: 3, seconds: 1 },
      energyRanks: { '0.9': 2, '0.95': 20, '0.99': 22, '0.999': 24 },
      kind: 'full',
      tokens: 4096,
      shrinkage: 0,
    } as const;
    const text = (id: string, change: Partial<typeof activations | { tokens: number; shrinkage: number }> = {}) => {
      const { value, status } = cellText(
        matrix,
        finding('x', { activations: { ...activations, ...change } }),
        undefined,
        measureById(id),
        'full',
      );
      return `${value}; ${status}`;
    };
    assert.equal(text('effectiveRank.activations'), '4 of 32 (12.5 %); From 4,096 tokens');
    assert.equal(text('effectiveRank.difference'), '12 of 32 (37.5 %); From 4,096 tokens');
    assert.equal(text('energyRank0.95.difference'), '-6 of 32 (-18.8 %); From 4,096 tokens');
    assert.equal(
      text('effectiveRank.activations', { tokens: 31, shrinkage: 0.02 }),
      '4 of 32 (12.5 %); From 31 tokens, fewer than its 32 columns, shrunk by 0.02 towards equal inputs',
    );
    const without = cellText(matrix, finding('x'), undefined, measureById('effectiveRank.activations'), 'full');
    assert.deepEqual([without.value, without.status], ['–', 'No statistics of its inputs']);
  });

  it('says why there is no value', () => {
    assert.equal(cellText(matrix, undefined, undefined, effective, 'full').status, 'Not analyzed yet');
    assert.equal(cellText(matrix, undefined, 'not finite', effective, 'full').status, 'Skipped: not finite');
    assert.equal(cellText(matrix, finding('x'), undefined, measureById('alpha'), 'full').value, '–');
  });

  it('is a percentage with two digits in a cell', () => assert.equal(shortValue(effective, 'full', 0.6789), '68 %'));
});
