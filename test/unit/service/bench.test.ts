import assert from 'node:assert/strict';
import { bench } from '../../../src/service/devices/bench.ts';

describe('the bench', function () {
  this.timeout(60_000);

  it('times and checks every kind of work at every size, and recommends a device that it timed', async () => {
    const steps: string[] = [];
    const { results, refused, recommended } = await bench({
      devices: ['cpu', 'abacus'],
      sizes: [96, 160],
      threads: 2,
      progress: ({ message }) => void steps.push(message),
    });
    const [{ engine, times } = assert.fail('no result')] = results;
    assert.equal(engine.name, 'cpu');
    assert.equal(recommended, 'cpu');
    assert.deepEqual(
      times.map(({ work, size }) => `${work} ${size}`),
      [96, 160].flatMap((size) => [`values ${size}`, `preview ${size}`, `vectors ${size}`]),
    );
    for (const { work, seconds, error } of times) {
      assert.ok(seconds > 0);
      assert.ok(error < (work === 'values' ? 1e-6 : 1e-2), `${work}: ${error}`);
    }
    assert.deepEqual(
      refused.map(({ name }) => name),
      ['abacus'],
    );
    assert.deepEqual(steps, ['cpu: 96 x 96', 'cpu: 160 x 160']);
  });

  it('times the kernels once where cpu has no BLAS, and wasm alone if only that is asked for', async () => {
    const names = async (devices: string[]) =>
      (await bench({ devices, sizes: [64], threads: 1 })).results.map(({ engine }) => engine.name);
    assert.deepEqual(await names(['cpu', 'wasm']), ['cpu']);
    assert.deepEqual(await names(['wasm']), ['wasm']);
  });

  it('stops when cancelled', async () => {
    await assert.rejects(bench({ devices: ['cpu'], sizes: [64], signal: AbortSignal.abort() }), { code: 'cancelled' });
  });

  it('fails with the reasons if no device is available', async () => {
    await assert.rejects(bench({ devices: ['abacus'] }), { code: 'engine', message: /abacus/ });
  });
});
