import assert from 'node:assert/strict';
import { RankscopeError } from '../../../src/base/errors.ts';
import { MAX_EVALUATION_SIZE, parseEvaluations } from '../../../src/model/parseEvaluation.ts';
import { evaluationOf, plansEvaluation } from '../../ui/pages/evaluations.ts';

const parse = (value: unknown) => parseEvaluations(JSON.stringify(value), 'a.json');

describe('a file with evaluations', () => {
  it('is read as it was written: one run, or a list of runs', () => {
    const [one, other] = [evaluationOf(), plansEvaluation()];
    assert.deepEqual(parse(one), [one]);
    assert.deepEqual(parse([one, other]), [one, other]);
  });

  it('may hold members that a later version adds', () => {
    const later = { ...evaluationOf(), temperature: 1 };
    assert.deepEqual(parse(later), [later]);
  });

  const first = () => evaluationOf().variants[0]!;
  const wrong: Readonly<Record<string, unknown>> = {
    '': [],
    format: { ...evaluationOf(), format: 'rankscope.evaluation/2' },
    source: { ...evaluationOf(), source: 'llama.cpp' },
    variants: { ...evaluationOf(), variants: {} },
    'text.windows': { ...evaluationOf(), text: { ...evaluationOf().text, windows: 0 } },
    'dense.perplexity': { ...evaluationOf(), dense: { ...evaluationOf().dense, perplexity: null } },
    'variants[0].kind': { ...evaluationOf(), variants: [{ ...first(), kind: 'layer' }] },
    'variants[0].rank': { ...evaluationOf(), variants: [{ ...first(), rank: 1.5 }] },
    'variants[0].divergence.q99': {
      ...evaluationOf(),
      variants: [{ ...first(), divergence: { ...first().divergence, q99: '1' } }],
    },
    'variants[0].size.cut.keptShare': {
      ...evaluationOf(),
      variants: [
        { ...first(), size: { ...first().size, cut: { parametersBefore: 1, parametersAfter: 1, keptShare: -1 } } },
      ],
    },
    'checkpoint.bytes': { ...evaluationOf(), checkpoint: { ...evaluationOf().checkpoint, bytes: -1 } },
  };
  for (const [place, value] of Object.entries(wrong))
    it(`is refused, and the place named: ${place || 'no run at all'}`, () =>
      assert.throws(
        () => parse(value),
        (error) =>
          error instanceof RankscopeError &&
          error.code === 'malformed' &&
          error.found.startsWith(`${place || 'the whole'} is `),
      ));

  for (const member of Object.keys(evaluationOf()))
    it(`is refused without its member ${member}`, () =>
      assert.throws(() => parse({ ...evaluationOf(), [member]: undefined }), new RegExp(`a member '${member}'`)));

  // Python's json writes these, which are not JSON.
  for (const content of ['{"perplexity": NaN}', '{"perplexity": Infinity}', '{', '', 'null', '3', '"text"', '[[[]]]'])
    it(`is refused in words: ${content || 'an empty file'}`, () =>
      assert.throws(() => parseEvaluations(content, 'a.json'), { code: 'malformed', subject: 'a.json' }));

  it('is refused above its largest size before it is parsed', () =>
    assert.throws(() => parseEvaluations(' '.repeat(MAX_EVALUATION_SIZE + 1), 'a.json'), { code: 'too-large' }));
});
