// Installs what the tests in a real VS Code need: VS Code servers and a Node to run them from the npm registry,
// Chromium from apt. Idempotent; everything but Chromium lies in the git-ignored .vscode-host/.
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { delimiter, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { installOnce } from '../installOnce.ts';
import { nodeRuntime, npm } from '../nodeRuntime.ts';

/** The `code-server` releases whose VS Code is tested: the newest, and the oldest that `engines.vscode` promises. */
export const RELEASES = {
  newest: '4.139.1',
  oldest: '4.100.3',
} as const;
export type Release = keyof typeof RELEASES;

export interface Host {
  /** The Node that runs the server; both releases run on it. */
  readonly node: string;
  /** The entry of the VS Code server. */
  readonly server: string;
}

/** A VS Code server of this release, installed on the first call (about a minute). */
export function host(release: Release): Host {
  const node = nodeRuntime();
  const home = resolve('.vscode-host', `code-server-${RELEASES[release]}`);
  installOnce(home, (folder) => installServer(RELEASES[release], folder, node));
  return {
    node: join(node, 'bin/node'),
    server: join(home, 'node_modules/code-server/lib/vscode/out/server-main.js'),
  };
}

function installServer(version: string, folder: string, node: string): void {
  npm(['install', '--ignore-scripts', `code-server@${version}`], folder);
  const vscode = join(folder, 'node_modules/code-server/lib/vscode');
  npm(['install', '--omit=dev', '--ignore-scripts'], vscode);
  // Of the native parts only these are worth building: without spdlog the output channels stay empty, without node-pty
  // there are no terminals.
  const parts = ['@vscode/spdlog', '@vscode/native-watchdog', 'native-watchdog', 'node-pty'];
  try {
    npm(['rebuild', '--ignore-scripts=false', ...parts], vscode, {
      PATH: `${join(node, 'bin')}${delimiter}${process.env.PATH ?? ''}`,
      npm_config_nodedir: node,
    });
  } catch {
    console.warn(
      'Native parts could not be built (a C++ compiler and Python are needed): output channels will stay empty, and ' +
        'terminals may not start.',
    );
  }
}

/** The path of a Chromium; installed by apt where this may do that. */
export function chromiumPath(): string {
  const named = process.env.CHROMIUM;
  if (named !== undefined) {
    if (!existsSync(named)) throw new Error(`CHROMIUM names ${named}, which does not exist.`);
    return named;
  }
  const found = findChromium() ?? (installChromium() ? findChromium() : undefined);
  if (found === undefined)
    throw new Error('No Chromium was found. Install one, or name it: CHROMIUM=/path/to/chrome npm test');
  return found;
}

function findChromium(): string | undefined {
  return [
    '/usr/bin/chromium',
    '/usr/bin/chromium-browser',
    '/usr/bin/google-chrome',
    '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
    'C:\\Program Files\\Google\\Chrome\\Application\\chrome.exe',
  ].find((file) => existsSync(file));
}

const installChromium = () => installByApt('chromium', 'fonts-dejavu-core');

/** The GPU that a processor imitates comes with Chromium; Dawn finds it through the Vulkan loader. */
export function vulkanLoader(): void {
  if (process.platform !== 'linux') return;
  const found = () =>
    ['x86_64', 'aarch64'].some((machine) => existsSync(`/usr/lib/${machine}-linux-gnu/libvulkan.so.1`));
  if (found() || existsSync('/usr/lib64/libvulkan.so.1') || (installByApt('libvulkan1') && found())) return;
  throw new Error(
    'No Vulkan loader was found. Install libvulkan1 (or vulkan-loader): the webgpu engine is tested through it.',
  );
}

/** Whether apt was there to be asked, by root. */
function installByApt(...packages: string[]): boolean {
  if (process.getuid?.() !== 0 || !existsSync('/usr/bin/apt-get')) return false;
  console.log(`Installing ${packages.join(', ')} by apt ...`);
  const environment = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  for (const parameters of [['update'], ['install', '-y', '--no-install-recommends', ...packages]])
    execFileSync('apt-get', parameters, { stdio: ['ignore', 'ignore', 'inherit'], env: environment });
  return true;
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const named = process.argv.slice(2);
  console.log(`browser: ${chromiumPath()}`);
  vulkanLoader();
  for (const release of Object.keys(RELEASES) as Release[])
    if (named.length === 0 || named.includes(release)) console.log(`${release}: ${host(release).server}`);
}
