import assert from 'node:assert/strict';
import { formatBytes, formatCount } from '../../../src/base/quantities.ts';

const table = (write: (value: number) => string, cases: readonly (readonly [number, string])[]) => {
  for (const [value, expected] of cases)
    it(`writes ${value} as ${expected}`, () => assert.equal(write(value), expected));
};

describe('a count', () =>
  table(formatCount, [
    [0, '0'],
    [99_999, '99,999'],
    [259_712, '260K'],
    [260_032, '260K'],
    [999_700, '1M'],
    [6_738_415_616, '6.74B'],
    [1.4e12, '1.4T'],
  ]));

describe('a number of bytes', () =>
  table(formatBytes, [
    [999, '999 bytes'],
    [1_040_128, '1.04 MB'],
    [1_048_576, '1.05 MB'],
    [13_476_839_424, '13.5 GB'],
  ]));
