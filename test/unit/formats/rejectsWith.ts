import assert from 'node:assert/strict';
import { type ErrorCode, RankscopeError } from '../../../src/base/errors.ts';

/**
 * Asserts that a promise rejects with a RankscopeError of `code` whose message matches all `patterns`, and returns it.
 */
export async function rejectsWith(
  promise: Promise<unknown>,
  code: ErrorCode,
  ...patterns: RegExp[]
): Promise<RankscopeError> {
  const error = await promise.then(
    () => assert.fail(`it did not reject with ${code}`),
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof RankscopeError, String(error));
  assert.equal(error.code, code, error.message);
  for (const pattern of patterns) assert.match(error.message, pattern);
  return error;
}
