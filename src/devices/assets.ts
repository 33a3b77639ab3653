import { existsSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const here = path.dirname(fileURLToPath(import.meta.url));
/** Whether this runs from src/ (tests, by tsx) and not from a bundle in dist/. */
export const fromSource = import.meta.url.endsWith('/src/devices/assets.ts');
const dist = fromSource ? path.resolve(here, '../../dist') : here;

/** The path of a file that the build put into dist/. @throws when it is not built */
export function asset(name: string): string {
  const file = path.join(dist, name);
  if (!existsSync(file)) throw new Error(`${file} is missing: run "npm run build" once`);
  return file;
}
