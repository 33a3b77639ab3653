import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT =
  process.env.RANKSCOPE_CHECKPOINTS ?? fileURLToPath(new URL('../../../../shared/checkpoints', import.meta.url));

/** The path of a shared test checkpoint. If it is missing, the test is skipped with its name as the reason. */
export function checkpointPath(context: Mocha.Context, name: string): string {
  const path = join(ROOT, name);
  if (!existsSync(path)) {
    context.test!.title += ` [skipped: ${path} is missing; RANKSCOPE_CHECKPOINTS names its folder]`;
    context.skip();
  }
  return path;
}
