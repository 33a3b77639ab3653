import { execFile } from 'node:child_process';
import { access, constants } from 'node:fs/promises';
import { delimiter, join } from 'node:path';

/** The first `node` of the PATH with its major version; undefined where there is none or it does not run. */
export async function findNode(searchPath: string, platform: NodeJS.Platform) {
  const name = platform === 'win32' ? 'node.exe' : 'node';
  for (const folder of searchPath.split(delimiter).filter(Boolean)) {
    const file = join(folder, name);
    const executable = await access(file, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (!executable) continue;
    const major = await majorVersion(file);
    if (major !== undefined) return { path: file, major };
  }
  return undefined;
}

function majorVersion(file: string): Promise<number | undefined> {
  return new Promise((resolve) => {
    execFile(file, ['--version'], { timeout: 5000 }, (_error, stdout) => {
      const major = /^v(\d+)\./.exec(stdout)?.[1];
      resolve(major === undefined ? undefined : Number(major));
    });
  });
}
