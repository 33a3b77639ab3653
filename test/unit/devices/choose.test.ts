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

describe('choice of the engine', () => {
  it('takes one by itself, and says which and why in one sentence', async () => {
    const backend = await chooseDevice();
    assert.equal(backend.info.threads, availableParallelism());
    assert.match(backend.info.reason, new RegExp(`^${backend.info.name} .*\\.$`));
    assert.ok(backend.info.device.length > 0);
    await backend.close();
  });

  it('takes the one asked for, with the threads asked for', async () => {
    const backend = await chooseDevice({ engine: 'cpu', threads: 1 });
    assert.deepEqual([backend.info.name, backend.info.threads], ['cpu', 1]);
    assert.match(backend.info.reason, /as requested, on 1 thread\./);
    await backend.close();
  });

  it('runs on no more threads than there are cores, and says so', async () => {
    const backend = await chooseDevice({ engine: 'cpu', threads: 1000 });
    assert.equal(backend.info.threads, availableParallelism());
    assert.match(backend.info.reason, /1000 were requested, but there are only/);
    await backend.close();
  });

  it('refuses an unknown name with the names there are', async () => {
    await assert.rejects(chooseDevice({ engine: 'abacus' }), {
      code: 'wrong-use',
      message: /Choose one of auto, .*cpu/,
    });
  });

  it('says how to get the one asked for where it is not there', async function () {
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

  it('refuses a number of threads that is none', async () => {
    for (const threads of [0, -1, 1.5, Number.NaN]) {
      await assert.rejects(chooseDevice({ threads }), { code: 'wrong-use', message: /threads/ });
    }
  });

  it('stops when it is cancelled', async () => {
    await assert.rejects(chooseDevice({ signal: AbortSignal.abort() }), { code: 'cancelled' });
  });
});
