import assert from 'node:assert/strict';
import fc from 'fast-check';
import { measureRepetition } from '../../../src/model/repetition.ts';

const measured = (...ids: number[]) => measureRepetition(ids, (run) => run.join(' '));
const upTo = (count: number) => Array.from({ length: count }, (_, i) => i);

describe('the repetition of a text', () => {
  it('is the longest run of tokens that comes again behind its end', () => {
    assert.deepEqual(measured(1, 2, 3, 4, 1, 2, 3, 5).longest, { tokens: 3, text: '1 2 3' });
    // Of a loop, half of it comes again, not all but its first turn.
    assert.deepEqual(measured(7, 7, 7, 7).longest, { tokens: 2, text: '7 7' });
    assert.deepEqual(measured(1, 2, 3).longest, null);
    assert.deepEqual(measured().longest, null);
  });

  it('finds no longer run by trying all of them', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 2 }), { maxLength: 24 }), (ids) => {
        let longest = 0;
        for (let length = 1; 2 * length <= ids.length; length++)
          for (let first = 0; first + 2 * length <= ids.length; first++)
            for (let later = first + length; later + length <= ids.length; later++)
              if (ids.slice(first, first + length).join() === ids.slice(later, later + length).join()) longest = length;
        assert.equal(measured(...ids).longest?.tokens ?? 0, longest);
      }),
    );
  });

  it('says which run comes most often in a row', () => {
    assert.deepEqual(measured(9, 1, 2, 1, 2, 1, 2, 1, 5).loop, { tokens: 2, times: 3 });
    assert.deepEqual(measured(4, 4, 4, 4).loop, { tokens: 1, times: 4 });
    assert.equal(measured(1, 1, 2, 2, 1, 2, 1, 2).loop, null);
  });

  it('counts distinct runs of 1, 2 and 3 tokens as shares of all', () => {
    assert.deepEqual(measured(1, 2, 1, 2, 1).distinct, [2 / 5, 2 / 4, 2 / 3]);
    assert.deepEqual(measured(5).distinct, [1, null, null]);
  });

  it('is said of loops and of a long passage that returns, not of other texts', () => {
    assert.equal(measured(...upTo(40).map((i) => i % 3)).repeats, true);
    assert.equal(measured(...upTo(40).map((i) => i % 17)).repeats, true);
    assert.equal(measured(...upTo(40)).repeats, false);
    // A word that comes five times in a row is a loop, four times it may be a row of digits.
    assert.equal(measured(...upTo(30), 50, 50, 50, 50, 50).repeats, true);
    assert.equal(measured(...upTo(30), 50, 50, 50, 50).repeats, false);
    // A phrase of few tokens may come again, and too few tokens tell nothing.
    assert.equal(measured(...upTo(30), 1, 2, 3, 4).repeats, false);
    assert.equal(measured(1, 1, 1, 1, 1, 1).repeats, false);
  });
});
