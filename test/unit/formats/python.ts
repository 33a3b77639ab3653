import { spawnSync } from 'node:child_process';

/**
 * Runs a Python script and parses what it prints as JSON; skips the test, saying what is missing, where
 * RANKSCOPE_PYTHON does not name a Python that has `modules`.
 */
export function python(context: Mocha.Context, modules: readonly string[], script: string, ...args: string[]): unknown {
  const executable = process.env.RANKSCOPE_PYTHON;
  const skip = (why: string): never => {
    context.test!.title += ` [skipped: ${why}]`;
    return context.skip();
  };
  if (!executable) return skip(`RANKSCOPE_PYTHON names no Python with ${modules.join(', ')}`);
  const result = spawnSync(executable, ['-c', script, ...args], { encoding: 'utf8', maxBuffer: 1 << 28 });
  if (/ModuleNotFoundError/.test(result.stderr))
    return skip(`the Python of RANKSCOPE_PYTHON lacks one of ${modules.join(', ')}`);
  if (result.status !== 0) throw new Error(result.stderr);
  return result.stdout.trim() === '' ? undefined : JSON.parse(result.stdout);
}
