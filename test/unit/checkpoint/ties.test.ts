import assert from 'node:assert/strict';
import { countParameters, ties, untied } from '../../../src/checkpoint/ties.ts';
import { tensor } from '../model/tensors.ts';

describe('tied tensors', () => {
  const tensors = [
    tensor('a', [2, 3]),
    tensor('embed', [4, 5], { storage: 's' }),
    tensor('head', [4, 5], { storage: 's' }),
    tensor('copy', [4, 5]),
    tensor('none', [0, 5], { storage: 'end' }),
    tensor('nothing', [0, 5], { storage: 'end' }),
    tensor('__proto__', [2, 3]),
  ];

  it('of one storage are one group, in the order of the checkpoint; empty ones share nothing', () => {
    assert.deepEqual(ties(tensors), [['embed', 'head']]);
  });

  it('found equal by content join the groups', () => {
    const equal = [
      ['head', 'copy'],
      ['__proto__', 'a'],
    ];
    assert.deepEqual(ties(tensors, equal), [
      ['a', '__proto__'],
      ['embed', 'head', 'copy'],
    ]);
  });

  it('that are not in the checkpoint are left out', () => assert.deepEqual(ties([tensors[0]!], [['a', 'gone']]), []));

  it('are counted once, by the first', () => {
    const groups = ties(tensors, [['head', 'copy']]);
    assert.deepEqual(
      untied(tensors, groups).map(({ name }) => name),
      ['a', 'embed', 'none', 'nothing', '__proto__'],
    );
    assert.equal(countParameters(tensors, groups), 6 + 20 + 6);
  });
});
