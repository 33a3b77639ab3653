import assert from 'node:assert/strict';
import { jsonTarget, yamlTarget } from '../../../src/code/configTarget.ts';

/** The target at the mark `^`, as `kind text`. */
function at(read: typeof jsonTarget, marked: string): string | undefined {
  const offset = marked.indexOf('^');
  const text = marked.replace('^', '');
  const target = read(text, offset);
  if (target?.kind === 'path' || !target) return undefined;
  const { line, start, end } = target.span;
  assert.ok(text.split('\n')[line]?.slice(start, end).includes(target.text), 'the span covers the text');
  return `${target.kind} ${target.text}`;
}

describe('a position in JSON', () => {
  it('is an entry of target_modules or a key of rank_pattern', () => {
    assert.equal(at(jsonTarget, '{"r": 8, "target_modules": ["q_proj", "v_^proj"]}'), 'selector v_proj');
    assert.equal(at(jsonTarget, '{\n "rank_pattern": {"^down_proj": 4}, "x": 1}'), 'selector down_proj');
    assert.equal(at(jsonTarget, '{"target_modules": "^.*proj"}'), 'selector .*proj');
  });

  it('is a name anywhere else', () => {
    assert.equal(at(jsonTarget, '{"target_modules": ["q"], "other": ["^q"]}'), 'name q');
    assert.equal(at(jsonTarget, '{"weight_map": {"^model.norm.weight": "a"}}'), 'name model.norm.weight');
    assert.equal(at(jsonTarget, '{"a": {"target_modules": []}, "b": "^q"}'), 'name q');
  });

  it('is nothing between strings or in invalid JSON', () => {
    assert.equal(at(jsonTarget, '{"a"^: 1}'), undefined);
    assert.equal(at(jsonTarget, '^'), undefined);
    assert.equal(at(jsonTarget, '{"a": "^unclosed'), undefined);
  });
});

describe('a position in YAML', () => {
  it('is an entry of a list in block style, indented or not', () => {
    assert.equal(at(yamlTarget, 'peft:\n  target_modules:\n    - q_proj\n    - ^v_proj\n  r: 8'), 'selector v_proj');
    assert.equal(at(yamlTarget, 'target_modules:\n- ^v_proj # last'), 'selector v_proj');
  });

  it('is an entry of a list in flow style, and a key of rank_pattern', () => {
    assert.equal(at(yamlTarget, 'target_modules: [q_proj, "^v_proj"]'), 'selector v_proj');
    assert.equal(at(yamlTarget, 'rank_pattern:\n  ^down_proj: 8'), 'selector down_proj');
  });

  it('is a name elsewhere, and nothing in a comment', () => {
    assert.equal(at(yamlTarget, 'target_modules:\n  - q\nother:\n  - ^q'), 'name q');
    assert.equal(at(yamlTarget, 'a: b # target ^q'), undefined);
  });
});
