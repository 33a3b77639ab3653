import { cpSync, mkdtempSync, realpathSync, rmSync } from 'node:fs';
import os from 'node:os';
import { join } from 'node:path';

/** The small trained language model with its Python code. */
export const SAMPLE = 'test/fixtures/sample';

/** A copy of the sample workspace that may be written to; `remove` deletes it. */
export function temporarySample(): { folder: string; remove: () => void } {
  const parent = realpathSync(mkdtempSync(join(os.tmpdir(), 'rankscope-workspace-')));
  const folder = join(parent, 'sample');
  cpSync(SAMPLE, folder, { recursive: true });
  return { folder, remove: () => rmSync(parent, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 }) };
}
