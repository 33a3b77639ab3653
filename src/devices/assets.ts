import { existsSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
/** Whether this runs from src/ (in tests, through tsx) rather than from a bundle in dist/. */
export const fromSource = import.meta.url.endsWith('/src/devices/assets.ts');
const dist = fromSource ? resolve(here, '../../dist') : here;

/** The path of a file that the build puts into dist/. @throws where it is missing */
export function asset(name: string): string {
  const file = join(dist, name);
  if (!existsSync(file)) throw new Error(`${file} is missing: run "npm run build"`);
  return file;
}
