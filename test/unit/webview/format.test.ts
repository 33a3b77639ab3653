import assert from 'node:assert/strict';
import { formatDuration, formatPercent, formatTick, formatValue } from '../../../webview/ui/format.ts';

const table = <Value>(write: (value: Value) => string, cases: readonly (readonly [Value, string])[]) => {
  for (const [value, expected] of cases)
    it(`writes ${value} as ${expected}`, () => assert.equal(write(value), expected));
};

describe('format', () => {
  describe('shares', () =>
    table(formatPercent, [
      [0, '0 %'],
      [0.5, '50 %'],
      [0.12345, '12.3 %'],
      [1, '100 %'],
      [0.99999, '99.999 %'],
      [0.999999999, '99.999 %'],
      [1.5, '150 %'],
    ]));
  describe('values', () =>
    table(formatValue, [
      [4096, '4,096'],
      [59.66, '59.7'],
      [0.0217, '0.0217'],
      [0.00001234, '1.23e−5'],
      [Number.NaN, '–'],
    ]));
  describe('time', () =>
    table(formatDuration, [
      [0.0123, '12.3 ms'],
      [0.42, '0.4 s'],
      [75, '1 min 15 s'],
      [7500, '2 h 5 min'],
    ]));
  describe('ticks of an axis', () => {
    table(formatTick, [
      [0.05, '0.05'],
      [0.002, '2e−3'],
      [5000, '5000'],
      [1e-12, '1e−12'],
      [2e6, '2e6'],
    ]);
    it('take at most five characters, from 1e−30 to 1e30', () => {
      for (let decade = -30; decade <= 30; decade++)
        for (const leading of [1, 2, 5, 9]) {
          const text = formatTick(leading * 10 ** decade);
          assert.ok(text.length <= 5, text);
        }
    });
  });
});
