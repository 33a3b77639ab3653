import assert from 'node:assert/strict';
import fc from 'fast-check';
import { namePattern } from '../../../src/adapters/patterns.ts';
import { processorTime } from '../processorTime.ts';

/** What PEFT does with a pattern. */
const asPeft = (pattern: string, name: string) => new RegExp(`^(?:(?:.*\\.)?(?:${pattern}))$`, 's').test(name);

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
];
const NAMES = [
  ...['q_proj', 'a.q_proj', 'b.a.q_proj', 'ba.q_proj', 'a.q_proj.x', 'a.k_proj', 'layers.0.self_attn.q_proj', '_proj'],
  ...['model.layers.12.self_attn.q_proj', 'layers.3.k_proj', 'layers.10.q_proj', 'layers.1.q_proj', 'm.layers.4.mlp'],
  ...['xx.y', 'x.', 'xxyyy', '', '.', 'a..b', 'v_proj'],
];

describe('a pattern of names', () => {
  for (const pattern of PATTERNS)
    it(`${pattern} fits what PEFT makes it fit`, () => {
      const fits = namePattern(pattern);
      for (const name of NAMES) assert.equal(fits?.(name), asPeft(pattern, name), name);
    });

  it('fits any names as a regular expression does', () => {
    const piece = fc.constantFrom(
      '\\.',
      'a',
      'b',
      '.',
      'a*',
      '.*',
      '.+?',
      'b?',
      '(a|b?)',
      '(ab|)',
      '(?:.|ba)',
      '[a.]+',
    );
    const pattern = fc.array(piece, { maxLength: 8 }).map((pieces) => pieces.join(''));
    const name = fc.stringMatching(/^[ab.]{0,12}$/);
    fc.assert(
      fc.property(pattern, name, (text, given) => assert.equal(namePattern(text)?.(given), asPeft(text, given))),
    );
  });

  it('of more than that is not guessed at', () => {
    for (const pattern of ['(a+)+', 'a{2}', '(?=a)', '(?<n>a)', 'a(', 'a)', '[a', '\\bq', 'a**', '*', '(a|b)*', '\\'])
      assert.equal(namePattern(pattern), undefined, pattern);
  });

  it('takes no longer for a hostile pattern: not with groups that unfold, not with stars after stars', () => {
    assert.equal(namePattern('(a|b)'.repeat(20)), undefined);
    const spent = processorTime();
    assert.equal(namePattern(`${'.*a'.repeat(40)}c`)?.('a'.repeat(4000)), false);
    assert.ok(spent() < 2000, `${spent()} ms`);
  });
});
