import assert from 'node:assert/strict';
import { SAMPLE } from '../sweep/sample.ts';
import { sweep } from '../sweep/sweep.ts';

const python = process.env.RANKSCOPE_PYTHON;

describe('generated code on architectures of transformers', function () {
  this.timeout(600_000);

  const title = `loads a sample of ${SAMPLE.length} that compute what the dense models with W = B A compute`;
  if (!python) {
    it.skip(`${title} (RANKSCOPE_PYTHON names no Python)`);
    return;
  }
  it(title, async () => {
    const outcomes = await sweep(python, SAMPLE);
    const faults = outcomes
      .filter(({ verdict, wrongSpectra = [] }) => verdict !== 'equal' || wrongSpectra.length > 0)
      .map(
        ({ type, verdict, reason = '', wrongSpectra = [] }) =>
          `${type}: ${verdict} ${[reason, ...wrongSpectra].join('; ')}`,
      );
    assert.deepEqual(faults, []);
    for (const { type, planned = 0, replaced = 0, effect = 0, difference = 1 } of outcomes) {
      assert.ok(planned > 3 && replaced > 0, `${type}: ${planned} planned, ${replaced} layers became low-rank`);
      assert.ok(effect > 100 * difference, `${type}: the factors change nothing: the test sees nothing`);
    }
  });
});
