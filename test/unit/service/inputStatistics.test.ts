import assert from 'node:assert/strict';
import { seededRandom } from '../../../src/base/random.ts';
import type { Backend } from '../../../src/devices/backend.ts';
import { createCpuBackend } from '../../../src/devices/cpu/backend.ts';
import { InputStatistics } from '../../../src/service/calibrate/inputStatistics.ts';

const WIDTH = 12;
const GROUPS = ['up', 'down', 'idle'].map((name) => ({ name, layer: 0, inputs: WIDTH, matrices: {} }));

describe('statistics of inputs', () => {
  let backend: Backend;
  before(() => {
    backend = createCpuBackend(1);
  });
  after(() => backend.close());

  const random = seededRandom(3);
  const batches = Array.from({ length: 9 }, (_, k) => ({
    name: k % 3 === 0 ? 'down' : 'up',
    rows: 1 + (k % 4),
    cols: WIDTH,
    values: Float32Array.from({ length: (1 + (k % 4)) * WIDTH }, () => random.normal()),
  }));

  for (const mostWaiting of [0, 5 * WIDTH, 1e6])
    it(`sum X X^T of each group if at most ${mostWaiting} entries wait, and are zero where no token came`, async () => {
      const taken = new Map<string, { r: Float32Array; tokens: number }>();
      const statistics = new InputStatistics(
        backend,
        GROUPS,
        async ({ name }, r, tokens) => void taken.set(name, { r, tokens }),
        undefined,
        mostWaiting,
      );
      for (const { name, ...rows } of batches) await statistics.inputs(rows, [{ name }]);
      await statistics.inputs({ rows: 1, cols: 3, values: new Float32Array(3) }, [{ name: 'around the blocks' }]);
      await statistics.passed(1);
      assert.equal(taken.size, 0);
      await statistics.passed(0);
      assert.deepEqual([...taken.keys()], ['up', 'down', 'idle']);
      for (const [name, { r, tokens }] of taken) {
        const own = batches.filter((batch) => batch.name === name);
        assert.equal(
          tokens,
          own.reduce((sum, { rows }) => sum + rows, 0),
        );
        const x = own.flatMap(({ values }) => [...values]);
        for (let i = 0; i < WIDTH; i++)
          for (let j = 0; j < WIDTH; j++) {
            let [found, right] = [0, 0];
            for (let k = 0; k < WIDTH; k++) found += r[k * WIDTH + i]! * r[k * WIDTH + j]!;
            for (let t = 0; t < tokens; t++) right += x[t * WIDTH + i]! * x[t * WIDTH + j]!;
            assert.ok(Math.abs(found - right) < 1e-4, `${name} ${i} ${j}: ${found}, ${right}`);
          }
      }
    });
});
