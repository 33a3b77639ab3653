import { execFile } from 'node:child_process';
import { dirname, join } from 'node:path';
import { programs } from '../programs.ts';

/** A program that can run the engine process. */
export interface Runtime {
  readonly execPath: string;
  readonly env: Readonly<Record<string, string>>;
  /** Names it in the log and in error messages. */
  readonly what: string;
}

export interface RuntimePlace {
  /** The setting `rankscope.node.path`; empty by default. */
  readonly setting: string;
  readonly extensionPath: string;
  /** The extension host's own executable, and whether that is Electron. */
  readonly execPath: string;
  readonly electron: boolean;
  readonly platform: NodeJS.Platform;
  readonly exists: (file: string) => boolean;
  /** A `node` on the PATH and its major version. */
  readonly nodeOnPath: { readonly path: string; readonly major: number } | undefined;
}

/** The oldest major version of a `node` on the PATH that may run the engine. */
export const OLDEST_NODE = 22;

/**
 * The runtimes to try, best first. Electron comes last: it forbids the external array buffers through which a GPU's
 * results are read back, which leaves the engine only the CPU.
 */
export function runtimes(place: RuntimePlace): Runtime[] {
  const carried = join(place.extensionPath, 'dist/node', place.platform === 'win32' ? 'node.exe' : 'bin/node');
  const found: (Runtime | false | undefined)[] = [
    place.setting !== '' && { execPath: place.setting, env: {}, what: 'the setting rankscope.node.path' },
    place.exists(carried) && { execPath: carried, env: {}, what: 'the bundled Node.js' },
    !place.electron && { execPath: place.execPath, env: {}, what: "the extension host's Node.js" },
    place.nodeOnPath !== undefined &&
      place.nodeOnPath.major >= OLDEST_NODE && { execPath: place.nodeOnPath.path, env: {}, what: 'node on the PATH' },
    place.electron && { execPath: place.execPath, env: { ELECTRON_RUN_AS_NODE: '1' }, what: 'Electron as Node.js' },
  ];
  return found.filter((runtime) => runtime !== false && runtime !== undefined);
}

/**
 * The first working `node` on the PATH, with its major version. None of an open folder is run, not even to ask for its
 * version, because whoever wrote the folder may have put it there.
 */
export async function findNode(
  searchPath: string | undefined,
  platform: NodeJS.Platform,
  openFolders: readonly string[],
): Promise<RuntimePlace['nodeOnPath']> {
  for await (const file of programs([platform === 'win32' ? 'node.exe' : 'node'], searchPath, openFolders)) {
    const major = await majorVersion(file);
    if (major !== undefined) return { path: file, major };
  }
  return undefined;
}

function majorVersion(file: string): Promise<number | undefined> {
  return new Promise((resolve) => {
    execFile(file, ['--version'], { timeout: 5000, cwd: dirname(file) }, (_error, stdout) => {
      const major = /^v(\d+)\./.exec(stdout)?.[1];
      resolve(major === undefined ? undefined : Number(major));
    });
  });
}
