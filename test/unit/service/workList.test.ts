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

  it('takes prioritized matrices first, then the rest in order', () => {
    const list = new WorkList(['a', 'b', 'c', 'd'].map((name) => matrix(name)));
    assert.equal(list.next()?.name, 'a');
    list.prioritize(['d', 'a', 'unknown', 'c']);
    assert.deepEqual(drain(list), ['d', 'c', 'b']);
  });

  it('replaces earlier priorities by later ones', () => {
    const list = new WorkList(['a', 'b', 'c', 'd'].map((name) => matrix(name)));
    list.prioritize(['d']);
    list.prioritize(['c']);
    assert.deepEqual(drain(list), ['c', 'a', 'b', 'd']);
  });

  it('gives out what is only on wish if it is prioritized, and does not count it', () => {
    const list = new WorkList([matrix('a')], [matrix('b'), matrix('c'), matrix('d')]);
    assert.equal(list.size, 1);
    assert.equal(list.drop('d'), false);
    list.prioritize(['c', 'd']);
    assert.deepEqual(drain(list), ['c', 'a']);
  });

  it('tells whether enough is left beside a matrix, given out or pending', () => {
    const list = new WorkList(['a', 'b', 'c'].map((name) => matrix(name)));
    const [a, b] = [list.next()!, list.next()!];
    const has = (wanted: number) => list.hasBeside(a, wanted, () => 10);
    assert.deepEqual([has(0), has(20), has(21)], [true, true, false]);
    list.finish(b);
    assert.deepEqual([has(10), has(11)], [true, false]);
    list.drop('c');
    assert.deepEqual([has(0), has(1)], [true, false]);
  });

  it('sorts by layer with embeddings and head last, otherwise in checkpoint order', () => {
    const all = [matrix('head', null), matrix('b', 1), matrix('a', 0), matrix('c', 1), matrix('embed', null)];
    assert.deepEqual(
      byLayer(all).map(({ name }) => name),
      ['a', 'b', 'c', 'head', 'embed'],
    );
  });
});
