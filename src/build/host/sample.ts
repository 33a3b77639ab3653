import { cpSync, mkdtempSync, realpathSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';

/** The small trained language model with its Python code. */
export const SAMPLE = 'test/fixtures/sample';

/** A copy of the sample workspace that may be written to; `remove` deletes it. */
export function temporarySample(): { folder: string; remove: () => void } {
  const parent = realpathSync(mkdtempSync(path.join(os.tmpdir(), 'rankscope-workspace-')));
  const folder = path.join(parent, 'sample');
  cpSync(SAMPLE, folder, { recursive: true });
  return { folder, remove: () => rmSync(parent, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 }) };
}
