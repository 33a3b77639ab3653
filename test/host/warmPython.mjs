import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import { join, resolve } from 'node:path';

/**
 * Starts a process that has imported torch and the like, and writes a command that has it run scripts; where it has
 * ended, the command runs them with `python` itself. Returns the command's path and `stop`. Windows cannot fork: there
 * it is `python`.
 */
export function warmPython(python) {
  if (process.platform === 'win32') return { command: python, stop: () => undefined };
  const folder = mkdtempSync(join(os.tmpdir(), 'rankscope-python-'));
  const socket = join(folder, 'socket');
  const command = join(folder, 'python');
  const quoted = [python, '-S', '-E', resolve('test/python/warm/client.py'), python, socket].map(quote).join(' ');
  // No test computes on a GPU with Python, whatever the build of torch.
  writeFileSync(command, `#!/bin/sh\nCUDA_VISIBLE_DEVICES= exec ${quoted} "$@"\n`, { mode: 0o755 });
  const server = spawn(python, ['test/python/warm/server.py', socket], {
    env: { ...process.env, CUDA_VISIBLE_DEVICES: '', PYTHONDONTWRITEBYTECODE: '1' },
    stdio: 'ignore',
    detached: true,
  });
  server.once('error', () => undefined);
  server.unref();
  const stop = () => {
    try {
      process.kill(-server.pid, 'SIGKILL');
    } catch {
      // It has ended.
    }
    rmSync(folder, { recursive: true, force: true });
  };
  return { command, stop };
}

const quote = (word) => `'${word.replaceAll("'", "'\\''")}'`;
