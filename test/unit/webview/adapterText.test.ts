import assert from 'node:assert/strict';
import { adapterText } from '../../../webview/inspector/cellText.ts';
import { measureById, shownValue } from '../../../webview/inspector/measures.ts';
import { finding } from './findings.ts';

const energyRanks = { '0.9': 2, '0.95': 3, '0.99': 3, '0.999': 4 };

describe("an adapter's update", () => {
  const update = finding('x', { adapter: { rank: 4, scale: 2, dead: false }, effectiveRank: 3, energyRanks });

  it('is summed up in a line that says how much of its rank is used', () => {
    assert.match(adapterText(update), /rank 4, scale 2 · 75 % of its rank in use.* 95 % of the energy in 3$/);
    assert.match(adapterText({ ...update, adapter: { rank: 4, scale: 2, dead: true, dora: true } }), /DoRA · dead/);
    assert.match(
      adapterText({ ...update, adapter: { ...update.adapter!, name: 'de', kind: 'lokr' } }),
      /^Adapter de of rank 4, scale 2, LoKr · 75 %/,
    );
    assert.equal(adapterText(finding('x')), '');
  });

  it('has ranks relative to the rank of its factors, not to the size of the matrix', () => {
    assert.equal(shownValue(measureById('effectiveRank'), 'full', update), 3 / 4);
    assert.equal(shownValue(measureById('effectiveRank'), 'full', finding('x', { effectiveRank: 3 })), 3 / 32);
  });
});
