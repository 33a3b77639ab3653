import assert from 'node:assert/strict';
import { COMPRESSED } from '../../../../src/cli/judgement/compressed.ts';
import { judge, parseCondition } from '../../../../src/cli/judgement/conditions.ts';
import { markdownReport } from '../../../../src/cli/judgement/markdown.ts';
import type { CompressionReport } from '../../../../src/model/compression.ts';
import { compressionOf } from '../../../ui/pages/compressions.ts';

describe('conditions on a compression', () => {
  const report = compressionOf();
  const { dense, compressed } = report.unseen!;
  const holds = (text: string, of: CompressionReport = report) =>
    judge(parseCondition(text, COMPRESSED.metrics), COMPRESSED.metrics, of).holds;

  it('compare text that the compression did not read with the model before', () => {
    const ratio = compressed.perplexity / dense.perplexity;
    assert.ok(holds(`perplexity>${ratio * 0.99}x`) && !holds(`perplexity>${ratio * 1.01}x`));
    assert.ok(holds(`kl>${compressed.divergence.mean - 0.01}`) && !holds(`kl>${compressed.divergence.mean + 0.01}`));
    assert.ok(holds('same-top<100%') && !holds('same-top<0'));
    assert.ok(holds('input-error>24%') && !holds('input-error>26%'));
    assert.ok(holds('bytes<1x') && !holds('bytes>=1x') && holds('parameters<1x'));
  });

  it('hold where there was no unseen text to measure on', () => {
    const blind = { ...report, unseen: null };
    assert.ok(holds('perplexity>1000000', blind) && holds('perplexity<0', blind));
  });

  it('are reported with the blocks and the numbers before and after', () => {
    const text = [...markdownReport(COMPRESSED.summary(report), [], '1')].join('');
    assert.match(text, /\| unseen \|/);
    assert.match(text, /\| block \| cut \| dense \| W X predicted \| W X truncated \|/);
    assert.match(
      text,
      /\| matrix \| rank \| W X predicted \| W X truncated \| error of W \|\n.*\n.* 20\.\d* % \| 25\.\d* % \| 40\.\d* % \|/,
    );
  });
});
