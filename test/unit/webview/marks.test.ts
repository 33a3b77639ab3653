import assert from 'node:assert/strict';
import { roomFor, sampledIndices } from '../../../webview/charts/marks.ts';

describe('sampled indices', () => {
  it('are all of a short curve', () => assert.deepEqual(sampledIndices(5), [0, 1, 2, 3, 4]));

  it('of a long curve are few, ascending, with both ends and the whole head', () => {
    const indices = sampledIndices(100_000);
    assert.ok(indices.length <= 1600);
    assert.equal(indices[0], 0);
    assert.equal(indices.at(-1), 99_999);
    for (let i = 1; i < indices.length; i++) assert.ok(indices[i]! > indices[i - 1]!);
    for (let i = 0; i < 10; i++) assert.ok(indices.includes(i), `value ${i + 1} of the head`);
  });
});

describe('room for labels', () => {
  it('goes to the more important of two that collide', () =>
    assert.deepEqual(roomFor([50, 55, 80, 44], 10), [true, false, true, false]));
});
