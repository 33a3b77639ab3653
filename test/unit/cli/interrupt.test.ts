import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';

/** Work that ignores its signal, like a read from a disk that does not answer. */
const STUCK = `
  import { interruption } from './src/cli/interrupt.ts';
  const { signal } = interruption(() => process.exit(130));
  signal.addEventListener('abort', () => console.log('asked to stop'));
  setInterval(() => undefined, 1000);
  console.log('started');
`;

describe('an interruption', () => {
  let child: ChildProcess;
  beforeEach(async () => {
    child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', STUCK], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await once(child.stdout ?? assert.fail(), 'data');
  });
  afterEach(() => child.kill('SIGKILL'));

  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    it(`by one ${signal} asks running work to stop, and ends the process if it does not`, async function () {
      if (process.platform === 'win32') this.skip();
      const text = once(child.stdout ?? assert.fail(), 'data');
      const ended = once(child, 'exit');
      const start = Date.now();
      child.kill(signal);
      assert.match(String(await text), /asked to stop/);
      assert.deepEqual(await ended, [130, null]);
      assert.ok(Date.now() - start > 1000, 'it has time to clean up');
    });
  }

  it('ends the process at once the second time', async function () {
    if (process.platform === 'win32') this.skip();
    const text = once(child.stdout ?? assert.fail(), 'data');
    const ended = once(child, 'exit');
    child.kill('SIGTERM');
    await text;
    const start = Date.now();
    child.kill('SIGTERM');
    assert.deepEqual(await ended, [130, null]);
    assert.ok(Date.now() - start < 1500);
  });
});
