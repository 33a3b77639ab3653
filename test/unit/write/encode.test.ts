import assert from 'node:assert/strict';
import fc from 'fast-check';
import { type SmallFloat, smallFloatTable } from '../../../src/base/smallFloats.ts';
import { encode, factorType, rounded } from '../../../src/write/encode.ts';

const HALF: SmallFloat = { exponentBits: 5, mantissaBits: 10, bias: 15, special: 'ieee' };
const BFLOAT: SmallFloat = { exponentBits: 8, mantissaBits: 7, bias: 127, special: 'ieee' };
const code = (value: number, dtype: 'F16' | 'BF16') => new DataView(encode([value], dtype).buffer).getUint16(0, true);

for (const [dtype, float] of [
  ['F16', HALF],
  ['BF16', BFLOAT],
] as const)
  describe(`writing ${dtype}`, () => {
    const table = smallFloatTable(float);

    it('preserves every value of the type, bit for bit', () => {
      for (let bits = 0; bits < 65536; bits++) {
        const value = table[bits]!;
        if (Number.isNaN(value)) assert.ok(Number.isNaN(table[code(value, dtype)]!));
        else assert.equal(code(value, dtype), bits);
      }
    });

    it('rounds to the nearest, ties to even', () => {
      const positive = fc.integer({ min: 0, max: (dtype === 'F16' ? 0x7bff : 0x7f7f) - 1 });
      fc.assert(
        fc.property(positive, fc.double({ min: 0, max: 1, noNaN: true }), (low, share) => {
          const [a, b] = [table[low]!, table[low + 1]!];
          const value = Math.fround(a + share * (b - a));
          const found = table[code(value, dtype)]!;
          const nearest = Math.min(value - a, b - value);
          assert.equal(Math.abs(found - value), nearest);
          if (value - a === b - value) assert.equal(code(value, dtype) % 2, 0);
        }),
        { seed: 1, numRuns: 2000 },
      );
      for (let low = 0; low < 500; low++) {
        const middle = (table[low]! + table[low + 1]!) / 2;
        // The very smallest halves of bfloat16 have no f32 between them.
        if (Math.fround(middle) === middle) assert.equal(code(middle, dtype), low + (low % 2));
      }
    });

    it('rounds to infinity above its range, and reports the values that a reader will see', () => {
      assert.equal(table[code(3.4e38, dtype)], Number.POSITIVE_INFINITY);
      assert.equal(table[code(-3.4028235e38, dtype)], Number.NEGATIVE_INFINITY);
      fc.assert(
        fc.property(fc.float({ noNaN: true }), (value) => {
          assert.ok(Object.is(rounded([value], dtype)[0], table[code(value, dtype)]!));
        }),
        { seed: 1 },
      );
    });
  });

describe('the type of factors', () => {
  it("is the matrix's own for floats of 16 bits or more, otherwise the next that can hold factors", () => {
    const types = ['F64', 'F32', 'F16', 'BF16', 'F8_E4M3', 'F8_E5M2', 'Q4_0'];
    assert.deepEqual(types.map(factorType), ['F64', 'F32', 'F16', 'BF16', 'BF16', 'BF16', 'BF16']);
  });

  it('writes F32 and F64 unchanged', () => {
    assert.deepEqual(new Float32Array(encode([1.1, -0], 'F32').buffer), Float32Array.of(1.1, -0));
    assert.deepEqual(new Float64Array(encode([1.1, -0], 'F64').buffer), Float64Array.of(1.1, -0));
  });
});
