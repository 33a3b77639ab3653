import assert from 'node:assert/strict';
import { errorData, RankscopeError } from '../../../src/base/errors.ts';

describe('the plain form of an error', () => {
  it('keeps all parts of a RankscopeError', () => {
    const data = { code: 'not-found', subject: 'x', found: 'no such file', remedy: 'Name one that exists' } as const;
    assert.deepEqual(errorData(RankscopeError.from(data), 'something else'), data);
  });

  it('names the type and the text of any other error, and what it happened to', () => {
    const found = 'unexpected error: TypeError: x is undefined';
    assert.deepEqual(errorData(new TypeError('x is undefined'), 'w'), {
      code: 'engine',
      subject: 'w',
      found,
      remedy: '',
    });
    assert.deepEqual(errorData('odd').found, 'unexpected error: odd');
  });
});
