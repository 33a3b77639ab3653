import { existsSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
/** Whether this runs from src/ (tests, by tsx) and not from a bundle in dist/. */
export const fromSource = import.meta.url.endsWith('/src/devices/assets.ts');
const dist = fromSource ? resolve(here, '../../dist') : here;

/** The path of a file that the build put into dist/. @throws when it is not built */
export function asset(name: string): string {
  const file = join(dist, name);
  if (!existsSync(file)) throw new Error(`${file} is missing: run "npm run build" once`);
  return file;
}
