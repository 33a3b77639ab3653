import assert from 'node:assert/strict';
import { textsOf } from '../../../webview/evaluation/texts.ts';
import {
  changeText,
  formatDifference,
  formatPerplexity,
  keptText,
  measuredLines,
  perplexityBar,
} from '../../../webview/evaluation/words.ts';
import { evaluationOf, plansEvaluation, variantOf } from '../../ui/pages/evaluations.ts';

describe('the runs on an evaluation page', () => {
  it('are put together by text, in the order in which the texts were first measured', () => {
    const [first, later] = [evaluationOf(), plansEvaluation()];
    const other = evaluationOf({ text: { ...first.text, name: 'other.txt' } });
    assert.deepEqual(
      textsOf([first, other, later]).map(({ runs }) => runs),
      [[first, later], [other]],
    );
  });

  for (const [fact, value] of Object.entries({ context: 256, scored: 8000, startToken: 1 }))
    it(`are kept apart if ${fact} differs`, () => {
      const first = evaluationOf();
      assert.equal(textsOf([first, evaluationOf({ text: { ...first.text, [fact]: value } })]).length, 2);
    });

  it('are the same text whatever the tokenizer is called, if the dense losses agree', () => {
    const first = evaluationOf();
    const { loss } = first.dense;
    const run = (nextLoss: number) =>
      evaluationOf({
        source: 'transformers',
        text: { ...first.text, tokenizer: 'GPT2TokenizerFast' },
        dense: { perplexity: Math.exp(nextLoss), loss: nextLoss, lossError: 0.03 },
      });
    assert.equal(textsOf([first, run(loss * (1 + 1e-4))]).length, 1);
    assert.equal(textsOf([first, run(loss * 1.01)]).length, 2);
  });

  it('show ranks in their order, then plans and files; a point is replaced if it is measured again', () => {
    const dense = evaluationOf().dense.perplexity;
    const again = { ...evaluationOf().variants[1]!, perplexity: 80 };
    const runs = [plansEvaluation(), evaluationOf(), evaluationOf({ variants: [again] })];
    const [{ measured }] = textsOf(runs) as [ReturnType<typeof textsOf>[number]];
    assert.deepEqual(
      measured.map(({ variant }) => variant.name),
      [
        'rank 32',
        'rank 64',
        'rank 128',
        'rank 256',
        'rank 512',
        '90 % kept, optimal',
        '80 % kept, optimal',
        'smollm2.lowrank.safetensors',
      ],
    );
    assert.equal(measured[3]!.variant.perplexity, 80);
    // A plan of the same name with other ranks is another point.
    const edited = variantOf('80 % kept, optimal', 'plan', dense, 35, 0.79);
    assert.equal(textsOf([...runs, evaluationOf({ variants: [edited] })])[0]!.measured.length, 9);
  });
});

describe('the words of an evaluation', () => {
  for (const [value, text] of [
    [24.4903, '24.49'],
    [2374.2, '2,374'],
    [7_400_299, '7.40e6'],
    [1, '1.000'],
    [Number.POSITIVE_INFINITY, 'infinite'],
  ] as const)
    it(`write the perplexity ${value} as ${text}`, () => assert.equal(formatPerplexity(value), text));

  for (const [difference, error, text] of [
    [0.10214, 0.00417, '+0.1021 ± 0.0042'],
    [-0.3, 0.12, '−0.30 ± 0.12'],
    [12.6, 0.38, '+12.60 ± 0.38'],
    [0, 0, '+0.0000 ± 0.0000'],
  ] as const)
    it(`write a difference to two digits of its error: ${text}`, () =>
      assert.equal(formatDifference(difference, error), text));

  for (const [factor, text] of [
    [1.1074, '+10.7 %'],
    [0.98, '−2 %'],
    [96.94, '× 96.94'],
  ] as const)
    it(`write the factor ${factor} as ${text}`, () => assert.equal(changeText(Math.log(factor)), text));

  it('draw the error bar from the paired difference, not from the spread of the loss', () => {
    const { dense, variants } = evaluationOf();
    const [low, high] = perplexityBar(dense, variants[1]!);
    const { perplexity, differenceError } = variants[1]!;
    assert.ok(Math.abs(high / perplexity - Math.exp(differenceError)) < 1e-9);
    assert.ok(Math.abs(low / perplexity - Math.exp(-differenceError)) < 1e-9);
  });

  it('say so where a difference is no larger than chance', () => {
    const evaluation = evaluationOf();
    const variant = { ...evaluation.variants[0]!, difference: 0.003, differenceError: 0.002 };
    const lines = measuredLines({ id: '', evaluation, variant });
    assert.ok(lines.some((line) => line.includes('no clear difference')));
    assert.equal(keptText(variant), '94 % of what may be cut, 95.3 % of the model');
  });
});
