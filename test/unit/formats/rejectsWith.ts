import assert from 'node:assert/strict';
import { type ErrorCode, RankscopeError } from '../../../src/base/errors.ts';

/** Asserts that a promise rejects with a RankscopeError of `code` whose message matches all `patterns`. */
export async function rejectsWith(promise: Promise<unknown>, code: ErrorCode, ...patterns: RegExp[]): Promise<void> {
  await assert.rejects(promise, (error) => {
    assert.ok(error instanceof RankscopeError, String(error));
    assert.equal(error.code, code, error.message);
    for (const pattern of patterns) assert.match(error.message, pattern);
    return true;
  });
}
