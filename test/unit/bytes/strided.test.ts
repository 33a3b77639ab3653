import assert from 'node:assert/strict';
import fc from 'fast-check';
import { elementCount } from '../../../src/base/shape.ts';
import { readStrided } from '../../../src/bytes/readStrided.ts';
import { memorySource } from '../../../src/bytes/source/memorySource.ts';
import { isInjective, isRowMajor, rowMajor } from '../../../src/bytes/strides.ts';

/** Sizes, the order of the dimensions in memory, and the gap after each element of the innermost dimension. */
const LAYOUT = fc.array(fc.integer({ min: 1, max: 6 }), { minLength: 1, maxLength: 4 }).chain((shape) =>
  fc.record({
    shape: fc.constant(shape),
    order: fc.shuffledSubarray([...shape.keys()], { minLength: shape.length }),
    gap: fc.integer({ min: 1, max: 3 }),
    offset: fc.nat(5),
    from: fc.double({ min: 0, max: 1, noNaN: true }),
    to: fc.double({ min: 0, max: 1, noNaN: true }),
  }),
);

describe('a strided read', () => {
  it('returns the same elements as indexing, for every range of every layout', () =>
    fc.assert(
      fc.asyncProperty(LAYOUT, async ({ shape, order, gap, offset, from, to }) => {
        const strides = new Array<number>(shape.length);
        let step = gap;
        for (const dimension of order) {
          strides[dimension] = step;
          step *= shape[dimension]!;
        }
        assert.ok(isInjective(shape, strides));
        const storage = Float32Array.from({ length: offset + step + gap }, (_, i) => i);
        const count = elementCount(shape);
        const plain = rowMajor(shape);
        const expected = Array.from({ length: count }, (_, i) =>
          shape.reduce((place, size, d) => place + (Math.floor(i / plain[d]!) % size) * strides[d]!, offset),
        );
        const [start, end] = [from, to].map((share) => Math.floor(share * count)).sort((a, b) => a - b) as [
          number,
          number,
        ];
        const source = memorySource('a', new Uint8Array(storage.buffer));
        const tensor = {
          name: 't',
          shape,
          strides,
          dtype: 'F32',
          bytes: count * 4,
          storage: '',
          file: 0,
          source,
          offset: 4 * offset,
        };
        const out = new Float32Array(end - start);
        await readStrided(tensor, start, out);
        assert.deepEqual([...out], expected.slice(start, end));
      }),
      { numRuns: 500 },
    ));

  it('detects layouts in which elements overlap', () => {
    assert.ok(!isInjective([2, 3], [0, 1]));
    assert.ok(!isInjective([3, 3], [1, 1]));
    assert.ok(!isInjective([4, 3], [2, 1]));
    assert.ok(isInjective([1, 3], [0, 1]));
    assert.ok(isInjective([], []));
  });

  it('detects row-major layouts', () => {
    assert.ok(isRowMajor([2, 3], [3, 1]));
    assert.ok(isRowMajor([2, 1, 3], [3, 99, 1]));
    assert.ok(isRowMajor([0, 3], [7, 9]));
    assert.ok(!isRowMajor([2, 3], [1, 2]));
    assert.ok(!isRowMajor([3], [2]));
  });
});
