import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { chooseDevice } from '../../../src/devices/choose.ts';

function isInstalled(name: string): boolean {
  try {
    return createRequire(import.meta.url).resolve(name) !== '';
  } catch {
    return false;
  }
}

describe('choosing a device', () => {
  it('picks a device and says in one sentence which and why', async () => {
    const backend = await chooseDevice();
    assert.equal(backend.info.threads, availableParallelism());
    assert.match(backend.info.reason, new RegExp(`^${backend.info.name} .*\\.$`));
    assert.ok(backend.info.device.length > 0);
    await backend.close();
  });

  it('opens the requested device with the requested number of threads', async () => {
    const backend = await chooseDevice({ engine: 'cpu', threads: 1 });
    assert.deepEqual([backend.info.name, backend.info.threads], ['cpu', 1]);
    assert.match(backend.info.reason, /as requested, on 1 thread\./);
    await backend.close();
  });

  it('uses at most one thread per core, and says so', async () => {
    const backend = await chooseDevice({ engine: 'cpu', threads: 1000 });
    assert.equal(backend.info.threads, availableParallelism());
    assert.match(backend.info.reason, /1000 were requested, but there are only/);
    await backend.close();
  });

  it('rejects an unknown name and lists the known ones', async () => {
    await assert.rejects(chooseDevice({ engine: 'abacus' }), {
      code: 'wrong-use',
      message: /Choose one of auto, .*cpu/,
    });
  });

  it('says how to install a requested device that is missing', async function () {
    for (const name of ['@tensorflow/tfjs-node-gpu', '@tensorflow/tfjs-node']) {
      if (process.env.RANKSCOPE_TENSORFLOW === undefined && !isInstalled(name)) continue;
      this.test!.title += ` [skipped: ${name} is installed]`;
      this.skip();
    }
    await assert.rejects(chooseDevice({ engine: 'tensorflow' }), {
      code: 'engine',
      subject: 'engine "tensorflow"',
      found: /TensorFlow.js is not installed/,
      remedy: /Install the TensorFlow \(CUDA\) Engine.*RANKSCOPE_TENSORFLOW/,
    });
  });

  it('rejects an invalid number of threads', async () => {
    for (const threads of [0, -1, 1.5, Number.NaN]) {
      await assert.rejects(chooseDevice({ threads }), { code: 'wrong-use', message: /threads/ });
    }
  });

  it('rejects when it is cancelled', async () => {
    await assert.rejects(chooseDevice({ signal: AbortSignal.abort() }), { code: 'cancelled' });
  });
});
