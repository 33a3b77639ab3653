import assert from 'node:assert/strict';
import { byLayer, type Matrix } from '../../../src/model/matrix.ts';
import { WorkList } from '../../../src/service/analysis/workList.ts';

const matrix = (name: string, layer: number | null = 0) => ({ name, layer }) as Matrix;
const drain = (list: WorkList) => {
  const names: string[] = [];
  for (let next = list.next(); next; next = list.next()) names.push(next.name);
  return names;
};

describe('the work list', () => {
  it('takes matrices in order, each once', () => {
    assert.deepEqual(drain(new WorkList(['a', 'b', 'c'].map((name) => matrix(name)))), ['a', 'b', 'c']);
  });

  it('takes what is wished for first, then the rest in order', () => {
    const list = new WorkList(['a', 'b', 'c', 'd'].map((name) => matrix(name)));
    assert.equal(list.next()?.name, 'a');
    list.prioritize(['d', 'a', 'unknown', 'c']);
    assert.deepEqual(drain(list), ['d', 'c', 'b']);
  });

  it('a later wish takes the place of an earlier one', () => {
    const list = new WorkList(['a', 'b', 'c', 'd'].map((name) => matrix(name)));
    list.prioritize(['d']);
    list.prioritize(['c']);
    assert.deepEqual(drain(list), ['c', 'a', 'b', 'd']);
  });

  it('goes layer by layer, embeddings and head last, in the checkpoint order otherwise', () => {
    const all = [matrix('head', null), matrix('b', 1), matrix('a', 0), matrix('c', 1), matrix('embed', null)];
    assert.deepEqual(
      byLayer(all).map(({ name }) => name),
      ['a', 'b', 'c', 'head', 'embed'],
    );
  });
});
