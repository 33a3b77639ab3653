import assert from 'node:assert/strict';
import { findListedPairs } from '../../../src/adapters/listed.ts';
import { tensorsOf } from '../../../src/adapters/parts.ts';
import { tensor } from '../model/tensors.ts';

const list = (...shapes: readonly (readonly number[])[]) => shapes.map((shape, place) => tensor(`${place}`, shape));

describe('a bare list of tensors', () => {
  it('is an adapter where it is up, down, up, down', () => {
    const found = findListedPairs(list([6, 2], [2, 5], [4, 1], [1, 9]));
    assert.equal(found?.naming, 'cloneofsimo');
    assert.deepEqual(
      found.pairs.map(({ target, stored, rank }) => [target, ...tensorsOf(stored).map(({ name }) => name), rank]),
      [
        ['pair.0', '0', '1', 2],
        ['pair.1', '2', '3', 1],
      ],
    );
  });

  it('is none with one tensor that does not fit, or where the inner size saves nothing', () => {
    for (const other of [
      list(),
      list([6, 2], [2, 5], [4, 1]),
      list([6, 2], [3, 5]),
      list([2, 5], [5, 5]),
      list([6, 2], [2, 5], [4], [1, 9]),
      list([6, 2], [2, 5]).map((tensor) => ({ ...tensor, name: `w${tensor.name}` })),
    ])
      assert.equal(findListedPairs(other), undefined);
  });
});
