import { cpSync, existsSync, readFileSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { installOnce } from './installOnce.ts';
import { npm, thisTarget } from './nodeRuntime.ts';

interface Carried {
  /** The package that package.json depends on. */
  readonly dependency: string;
  /** The package that the files are from: the dependency, or a part of it for one platform. */
  readonly from: (target: string) => string;
  readonly files: (target: string) => readonly string[];
}

/**
 * Packages with native parts: they cannot be bundled, so their needed files travel in dist/node_modules, where Node
 * finds them.
 */
const CARRIED: readonly Carried[] = [
  {
    dependency: 'webgpu',
    from: () => 'webgpu',
    files: (target) => [
      'package.json',
      'index.js',
      'LICENSE.md',
      `dist/${target.replace(/^darwin-.*/, 'darwin-universal')}`,
    ],
  },
  {
    dependency: 'koffi',
    from: () => 'koffi',
    files: () => ['package.json', 'index.cjs', 'LICENSE.txt', 'src/koffi/index.cjs', 'src/koffi/src/static.cjs'],
  },
  {
    dependency: 'koffi',
    from: (target) => `@koromix/koffi-${target}`,
    // Node itself needs glibc, so the variant for musl is of no use here.
    files: (target) => ['package.json', 'index.js', `${target.replace('-', '_')}/koffi.node`],
  },
];

/**
 * Puts the files that `target` needs of each carried package into dist/node_modules, and throws where one is missing.
 * Only packages that package.json depends on are carried.
 */
export function carryPackages(target: string): void {
  rmSync('dist/node_modules', { recursive: true, force: true });
  const { dependencies = {}, optionalDependencies = {} } = JSON.parse(readFileSync('package.json', 'utf8'));
  for (const { dependency, from, files } of CARRIED) {
    if (!(dependency in dependencies) && !(dependency in optionalDependencies)) continue;
    const name = from(target);
    const folder =
      target === thisTarget || name === dependency ? 'node_modules' : ofAnotherPlatform(name, dependency, target);
    for (const file of files(target)) {
      const source = join(folder, name, file);
      if (!existsSync(source)) throw new Error(`${source} is missing; run npm ci`);
      cpSync(source, join('dist/node_modules', name, file), { recursive: true });
    }
  }
}

/** A node_modules folder with a package that npm installs on another platform only, in the version of its parent. */
function ofAnotherPlatform(name: string, parent: string, target: string): string {
  const { version } = JSON.parse(readFileSync(join('node_modules', parent, 'package.json'), 'utf8'));
  const home = resolve('.vscode-host', `${parent}-${version}-${target}`);
  installOnce(home, (folder) => {
    npm(['install', '--force', '--ignore-scripts', '--no-save', `${name}@${version}`], folder);
  });
  return join(home, 'node_modules');
}
