import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Matrix } from '../../../src/model/matrix.ts';
import { Pace } from '../../../src/service/analysis/pace.ts';

const matrix = (rows: number, cols: number) => ({ rows, cols }) as Matrix;

describe('the time left', () => {
  it('is unknown until some work is done', () => {
    const pace = new Pace();
    pace.expect(matrix(100, 100), 'exact');
    assert.equal(pace.secondsLeft(), undefined);
  });

  it('equals the time taken for the same work, and is zero at the end', async () => {
    const pace = new Pace();
    for (let i = 0; i < 4; i++) pace.expect(matrix(500, 500), 'exact');
    await sleep(30);
    pace.finish(matrix(500, 500), 'exact');
    const left = pace.secondsLeft() ?? 0;
    assert.ok(left > 0.08 && left < 0.5, `${left} s`);
    for (let i = 0; i < 3; i++) pace.finish(matrix(500, 500), 'exact');
    assert.ok((pace.secondsLeft() ?? 1) < 1e-9);
  });

  it('grows with the cube of the size', async () => {
    const pace = new Pace();
    pace.expect(matrix(4000, 4000), 'exact');
    pace.expect(matrix(2000, 2000), 'exact');
    await sleep(20);
    pace.finish(matrix(2000, 2000), 'exact');
    const left = pace.secondsLeft() ?? 0;
    assert.ok(left > 0.1 && left < 0.5, `${left} s`);
  });

  it('decreases while a matrix is computed, and with dropped work', async () => {
    const pace = new Pace();
    pace.expect(matrix(2000, 2000), 'exact');
    pace.expect(matrix(2000, 2000), 'exact');
    await sleep(10);
    pace.reach(matrix(2000, 2000), 'exact', 0.5);
    const half = pace.secondsLeft() ?? 0;
    pace.drop(matrix(2000, 2000), 'exact');
    assert.ok((pace.secondsLeft() ?? 0) < half / 2);
  });
});
