import assert from 'node:assert/strict';
import { nameMatcher } from '../../../src/model/globs.ts';

describe('a glob of names', () => {
  const NAMES = [
    'mlp.experts.down_proj[3]',
    'mlp.experts.down_proj[10]',
    'mlp.experts.down_proj',
    'mlp.up_proj.weight',
  ];
  const matched = (...globs: string[]) => NAMES.filter(nameMatcher(globs));

  it('matches text with dots by a star, and nothing without globs', () => {
    assert.deepEqual(matched('*'), NAMES);
    assert.deepEqual(matched('*up_proj*'), [NAMES[3]]);
    assert.deepEqual(matched(), []);
  });

  it('names one expert of a stack by its number, and all of them by [*]', () => {
    assert.deepEqual(matched('mlp.experts.down_proj[3]'), [NAMES[0]]);
    assert.deepEqual(matched('*down_proj[3]'), [NAMES[0]]);
    assert.deepEqual(matched('mlp.experts.down_proj[*]'), [NAMES[0], NAMES[1]]);
    assert.deepEqual(matched('*.down_proj[*]', '*.up_proj.*'), [NAMES[0], NAMES[1], NAMES[3]]);
  });

  it('names a stack and all its experts by the name of the stack, which the checkpoint lists', () => {
    assert.deepEqual(matched('mlp.experts.down_proj'), NAMES.slice(0, 3));
    assert.deepEqual(matched('*.down_proj'), NAMES.slice(0, 3));
    assert.deepEqual(matched('*.experts'), []);
  });
});
