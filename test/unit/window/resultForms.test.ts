import assert from 'node:assert/strict';
import { join } from 'node:path';
import { FACTOR_STYLES } from '../../../src/model/factorStyle.ts';
import { formChoices, growthQuestion, suggestedResult } from '../../../src/window/plan/resultForms.ts';

describe('the forms in which a plan is applied', () => {
  it('are a file and a folder of factors or of dense weights, each with a name beside the source', () => {
    const source = join('models', 'llama', 'model.safetensors.index.json');
    const names = formChoices(source).map((choice) => suggestedResult(source, choice));
    const styled = 'lowrank.safetensors';
    const expected = [styled, 'lowrank', 'truncated.safetensors', 'truncated', styled, styled, styled];
    assert.deepEqual(
      names,
      expected.map((name) => join('models', 'llama', `model.${name}`)),
    );
  });

  it('include a file with the names that others give to factors, for every style that is written', () => {
    const styles = formChoices('model.safetensors').flatMap(({ form, hasCode }) => (hasCode ? [form.style] : []));
    assert.deepEqual(styles, [undefined, ...FACTOR_STYLES.slice(1)]);
  });

  it('of a GGUF file include GGUF, as dense weights alone, and no folder', () => {
    const choices = formChoices('model.Q4_0.gguf');
    assert.ok(choices.every(({ form }) => form.form === 'file'));
    assert.deepEqual(
      choices.filter(({ ending }) => ending === '.gguf').map(({ form, hasCode }) => [form.dense, hasCode]),
      [[true, false]],
    );
  });

  it('ask before a result is larger than its source, with both sizes', () => {
    assert.match(growthQuestion({ bytesBefore: 94e6, bytesAfter: 368e6, types: {} })!, /368 MB from 94 MB/);
    assert.equal(growthQuestion({ bytesBefore: 94e6, bytesAfter: 93e6, types: {} }), undefined);
    assert.equal(growthQuestion({ bytesBefore: 94e6, bytesAfter: 94e6 + 40, types: {} }), undefined);
  });
});
