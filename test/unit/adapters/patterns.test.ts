import assert from 'node:assert/strict';
import fc from 'fast-check';
import { Steps } from '../../../src/adapters/patterns/matcher.ts';
import { namePattern } from '../../../src/adapters/patterns/namePattern.ts';
import { python } from '../formats/python.ts';
import { processorTime } from '../processorTime.ts';

/** What PEFT does with a pattern, where JavaScript has the same syntax. */
const asPeft = (pattern: string, name: string) => new RegExp(`^(?:(?:.*\\.)?(?:${pattern}))$`).test(name);

const PATTERNS = [
  'q_proj',
  'a.q_proj',
  '^a.q_proj',
  '.*q_proj',
  'layers\\.(0|1|12)\\.self_attn\\.q_proj',
  'layers\\.\\d+\\.(?:q|k)_proj',
  '[qk]_proj',
  'layers.[0-4].mlp',
  '[^q]_proj',
  'q?_proj',
  'x+.y*',
  '(q|k|)_proj$',
  'layers.1(0|1)?.q_proj',
  '\\w+',
  '.',
  '(x|y)+\\.?y{2,3}',
  '(?:layers\\.(?!0)\\d+\\.)+.*proj',
  '.*(?<=self_attn\\.)q_proj',
  '(?=.*q).*_proj',
  'x{1,}.*',
  '\\bq_proj',
];
const NAMES = [
  ...['q_proj', 'a.q_proj', 'b.a.q_proj', 'ba.q_proj', 'a.q_proj.x', 'a.k_proj', 'layers.0.self_attn.q_proj', '_proj'],
  ...['model.layers.12.self_attn.q_proj', 'layers.3.k_proj', 'layers.10.q_proj', 'layers.1.q_proj', 'm.layers.4.mlp'],
  ...['xx.y', 'x.', 'xxyyy', '', '.', 'a..b', 'v_proj'],
];

/** Patterns that JavaScript reads otherwise than Python, or not at all. */
const PYTHON_ONLY = [
  '(?P<side>q|k)_proj',
  '(?P<d>\\d)(?P=d)\\.x',
  'layers\\.(\\d)\\3\\.x',
  '(a\\.)?b(?(3)c|d)',
  '(?P<a>a\\.)?b(?(a)c|d)',
  '(?(1)b|a)\\.c',
  '(?>a+)b',
  '(?>a+)ab',
  'a++b',
  'a*+ab',
  '(?:ab)?+ab',
  '(?i:Q_PROJ)',
  '(?i:[A-C]\\.X)',
  '(?s:a.b)',
  '(?x: q _ proj # comment\n)',
  '(?a:\\w+)',
  '(?u:\\w+)',
  '\\Aa\\.b\\Z',
  'a\\Z',
  'q_proj(?#comment)',
  'a{,2}b',
  'a{2',
  'a{,}b',
  '[]a]x',
  '[^]a]x',
  '[\\w.]+x',
  '[a-]x',
  '\\x61\\u0062',
  '\\141b',
  '(?<!a)b',
  '(?<=(?:a|b)\\.)c',
  '\\d+',
  'é+',
  '\\S+\\s\\S+',
  'a$',
  '(?m:a$)',
  'a|b.c',
  '\\1b',
  // Not regular expressions, or not where PEFT puts them.
  ...['(?i)q', 'a**', '*', '(?<=a*)b', '(?P<1>a)', '(?P<a>a)(?P<a>b)', '(?P=x)', '\\2', '\\9', '(', ')', '[a', '\\'],
  ...['(?(9)a)', '[z-a]', 'a{2,1}', '(?<n>a)', '\\q', '(?i-i:a', '(?-u:a)', '\\x6', '^*', '{2}'],
];
const PYTHON_NAMES = [
  ...[
    'q_proj',
    'm.k_proj',
    '22.x',
    '21.x',
    'layers.11.x',
    'layers.12.x',
    'a.bc',
    'bd',
    'bc',
    'x.bd',
    'aab',
    'ab',
    'abab',
  ],
  ...[
    'a.Q_proj',
    'b.X',
    'a\nb',
    'a\n',
    'a.b',
    'é',
    'é.é',
    'x.a.b\n',
    'aaab',
    'a{2',
    ']x',
    'bx',
    'a.x',
    '-x',
    'a',
    'b',
    'xb',
  ],
  ...['٣', '7', 'a b', 'a\x1cb', 'bXc', 'a.c', 'b.c', 'a.ab', 'm.a.c', 'm.b.c', 'K'],
];

const VERDICTS = `
import json, re, sys
verdicts = []
for pattern in json.loads(sys.argv[1]):
    try:
        compiled = re.compile(rf"(.*\\.)?({pattern})$")
        verdicts.append([compiled.match(name) is not None for name in json.loads(sys.argv[2])])
    except re.error:
        verdicts.append(None)
print(json.dumps(verdicts))
`;

const patternOf = (text: string) => namePattern(text, new Steps());

describe('a pattern of names', () => {
  for (const pattern of PATTERNS)
    it(`${pattern} fits what PEFT makes it fit`, () => {
      const { fits } = patternOf(pattern);
      for (const name of NAMES) assert.equal(fits(name), asPeft(pattern, name), name);
    });

  it('fits any names as a regular expression does', () => {
    const piece = fc.constantFrom(
      ...['\\.', 'a', 'b', '.', 'a*', '.*', '.+?', 'b?', '(a|b?)', '(ab|)', '(?:.|ba)', '[a.]+', '(a|b)*', '(?:ab)+?'],
      ...['(?=a)', '(?!b)', '(?<=a)', '(?<!\\.)', 'a{2}', '(?:a|ab){1,2}', '\\b', '^', '$'],
    );
    const pattern = fc.array(piece, { maxLength: 8 }).map((pieces) => pieces.join(''));
    const name = fc.stringMatching(/^[ab.]{0,12}$/);
    fc.assert(
      fc.property(pattern, name, (text, given) => assert.equal(patternOf(text).fits(given), asPeft(text, given))),
      { numRuns: 1000 },
    );
  });

  it('fits what Python makes it fit, and is refused where Python refuses it', function () {
    const patterns = [...PATTERNS, ...PYTHON_ONLY];
    const names = [...NAMES, ...PYTHON_NAMES];
    const truth = python(this, ['re'], VERDICTS, JSON.stringify(patterns), JSON.stringify(names)) as (
      | boolean[]
      | null
    )[];
    for (const [index, pattern] of patterns.entries()) {
      const { fits, reason } = patternOf(pattern);
      const expected = truth[index]!;
      assert.equal(reason === undefined, expected !== null, `${pattern}: ${reason}`);
      for (const [k, name] of names.entries())
        assert.equal(fits(name), expected?.[k], `${pattern} and ${JSON.stringify(name)}`);
    }
  });

  it('that is no regular expression leaves every name undecided, with the reason', () => {
    for (const pattern of [
      'a(',
      'a)',
      '[a',
      'a**',
      '*',
      '\\',
      '(?<n>a)',
      '(?i)a',
      '\\q',
      '('.repeat(60),
      'a'.repeat(3000),
    ]) {
      const { fits, reason } = patternOf(pattern);
      assert.equal(fits('a'), undefined, pattern);
      assert.match(reason ?? '', /^it |^its /, pattern);
    }
  });

  it('that would take for ever leaves a name undecided within a second', () => {
    const spent = processorTime();
    assert.equal(patternOf('(a+)+b').fits(`${'a'.repeat(60)}c`), undefined);
    assert.equal(namePattern(`${'.*a'.repeat(40)}c`, new Steps(1e5)).fits('a'.repeat(900)), undefined);
    assert.equal(patternOf('a').fits('a'.repeat(4000)), undefined);
    assert.ok(spent() < 5000, `${spent()} ms`);
  });

  it('shares its steps with the others of its configuration', () => {
    const steps = new Steps(1000);
    const [first, second] = [namePattern('(a+)+b', steps), namePattern('c', steps)];
    assert.equal(second.fits('c'), true);
    assert.equal(first.fits('a'.repeat(30)), undefined);
    assert.equal(second.fits('c'), undefined);
  });

  it('may repeat a group along the longest name', () => {
    assert.equal(patternOf('(?:a|b)+(ab|ba)*').fits('ab'.repeat(500)), true);
  });
});
