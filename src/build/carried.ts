import { cpSync, existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';

/**
 * Packages with native parts: they cannot be bundled, so their needed files travel in dist/node_modules, where Node
 * finds them.
 */
const CARRIED: Readonly<Record<string, (target: string) => readonly string[]>> = {
  webgpu: (target) => [
    'package.json',
    'index.js',
    'LICENSE.md',
    `dist/${target.replace(/^darwin-.*/, 'darwin-universal')}`,
  ],
};

/**
 * Puts the files that `target` needs of each carried package into dist/node_modules, and throws where one is missing.
 * Only packages that package.json depends on are carried.
 */
export function carryPackages(target: string): void {
  rmSync('dist/node_modules', { recursive: true, force: true });
  const { dependencies = {}, optionalDependencies = {} } = JSON.parse(readFileSync('package.json', 'utf8'));
  for (const [name, filesFor] of Object.entries(CARRIED)) {
    if (!(name in dependencies) && !(name in optionalDependencies)) continue;
    for (const file of filesFor(target)) {
      const source = join('node_modules', name, file);
      if (!existsSync(source)) throw new Error(`${source} is missing; run npm ci`);
      cpSync(source, join('dist/node_modules', name, file), { recursive: true });
    }
  }
}
