import assert from 'node:assert/strict';
import {
  judge,
  type Measured,
  type Metric,
  parseCondition,
  reasonOf,
} from '../../../../src/cli/judgement/conditions.ts';
import { markdownReport } from '../../../../src/cli/judgement/markdown.ts';

type Result = readonly Measured[];

const METRICS: readonly Metric<Result>[] = [
  { name: 'perplexity', meaning: '', relativeTo: 'the model', values: (result) => result },
  { name: 'error', meaning: '', values: (result) => result },
];
const held = (text: string, ...result: Measured[]) => judge(parseCondition(text, METRICS), METRICS, result);

describe('conditions of --fail-if', () => {
  it('compare each number with a limit, a percentage, or a multiple of what it belongs to', () => {
    const cases: readonly [string, number, boolean][] = [
      ['error>0.1', 0.11, true],
      ['error>0.1', 0.1, false],
      ['error>=0.1', 0.1, true],
      ['ERROR < 10%', 0.09, true],
      ['error<=10%', 0.11, false],
      ['error>1e-3', 0.002, true],
      ['error<-.5', -0.6, true],
      ['perplexity>1.05x', 10.6, true],
      ['perplexity>1.05x', 10.4, false],
      ['perplexity > 1.05 X', 10.6, true],
    ];
    for (const [text, value, expected] of cases)
      assert.equal(held(text, { subject: 'one', value, whole: 10 }).holds, expected, `${text} for ${value}`);
  });

  it('hold if one of many numbers is beyond the limit, and name it', () => {
    const { holds, because, condition } = held(
      'error>0.1',
      { subject: 'a', value: 0.05 },
      { subject: 'b', value: 0.2 },
      { subject: 'c', value: 0.1 },
    );
    assert.deepEqual([holds, because], [true, [{ subject: 'b', value: 0.2, limit: 0.1 }]]);
    assert.equal(reasonOf({ condition, holds, because }), 'error>0.1: b has 0.2000 (limit 0.1000)');
  });

  it('hold for what is not a number, was not measured, or has nothing to be compared with', () => {
    assert.ok(held('error>0.1', { subject: 'a', value: Number.NaN }).holds);
    assert.ok(held('error<0.1', { subject: 'a', value: Number.NaN }).holds);
    assert.ok(held('error>0.1', { subject: 'a', value: Number.POSITIVE_INFINITY }).holds);
    assert.match(reasonOf(held('error>0.1', { subject: 'a', value: null })), /a was not measured/);
    assert.match(reasonOf(held('error>0.1')), /nothing was measured/);
    assert.match(reasonOf(held('perplexity>1.05x', { subject: 'a', value: 9 })), /a has nothing to be compared with/);
  });

  it('are refused with what they look like, and with the metrics there are', () => {
    for (const text of [
      'error',
      'error>',
      'error=0.1',
      'error>0.1.2',
      '>0.1',
      'error>0.1y',
      'error > x',
      'error>1e999',
      '',
    ])
      assert.throws(() => parseCondition(text, METRICS), /takes a metric, >, >=, < or <=, and a number/, text);
    assert.throws(() => parseCondition('speed>1', METRICS), /no metric 'speed' here: use one of perplexity, error/);
    assert.throws(() => parseCondition('error>1.05x', METRICS), /compared with a number, not with a multiple/);
  });
});

describe('a report in Markdown', () => {
  it('shows names of tensors as they are, whatever they contain', () => {
    const summary = {
      title: 'Plan for a_b_c',
      facts: [['engine', 'cpu']] as const,
      tables: [{ headings: ['matrix', 'rank'], rows: [['h.*[3] | <b>\n`x`', '8']] }],
      notes: ['One note.'],
    };
    const verdicts = [held('error>0.1', { subject: 'a_b', value: 0.2 }), held('error>1', { subject: 'a', value: 0 })];
    const text = [...markdownReport(summary, verdicts, '1.2.3')].join('');
    assert.match(text, /^# Plan for a\\_b\\_c\n\n\*\*Failed\*\*: 1 of 2 conditions\n/);
    assert.ok(
      text.includes('| error\\>0.1 | fails | a\\_b: 0.2000 (limit 0.1000) |\n| error\\>1 | passes |  |\n'),
      text,
    );
    assert.ok(text.includes('| h.\\*\\[3\\] \\| \\<b\\> \\`x\\` | 8 |\n'), text);
    assert.ok(text.endsWith('- One note.\n\nRankscope 1.2.3\n'), text);
    assert.match([...markdownReport(summary, [verdicts[1]!], '1')].join(''), /\*\*Passed\*\*/);
    // Every row of a table has the columns of its head.
    const widths = text.split('\n').filter((line) => line.startsWith('|'));
    for (const line of widths) assert.ok([3, 4].includes(line.split(/(?<!\\)\|/).length - 1), line);
  });
});
