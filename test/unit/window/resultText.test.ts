import assert from 'node:assert/strict';
import type { SmokeTest } from '../../../src/model/generation.ts';
import { resultText } from '../../../src/window/plan/resultText.ts';

const textOf = (smokeTest: SmokeTest | null) =>
  resultText({
    out: '/models/smaller.safetensors',
    parametersBefore: 1000,
    parametersAfter: 625,
    bytesBefore: 4000,
    measuredError: 0,
    bytesAfter: 2500,
    matrices: [],
    code: null,
    smokeTest,
    remarks: ['The head is tied.'],
  });

describe('the message after a plan was applied', () => {
  it('says what was written, what the smoke test found, and the remarks', () => {
    const written = 'Wrote smaller.safetensors: 625 parameters, 62.5 % of the original.';
    assert.equal(textOf(null), `${written} The head is tied.`);
    assert.equal(
      textOf({ failed: 'a.weight: contains NaN' }),
      `${written} The written file and the model could not continue a prompt (a.weight: contains NaN). The head is tied.`,
    );
  });

  it('leaves it to the inspector to say why nothing was tried', () => {
    assert.ok(!textOf({ leftOut: 'there is no config.json' }).includes('config.json'));
  });
});
