// Packs the .vsix of one platform, with the Node that runs the engine process beside the code.
//   npm run package [-- --target linux-arm64]
//   npm run package:light     without Node: the extension then takes one it finds
import { execFileSync } from 'node:child_process';
import { chmodSync, cpSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { createVSIX } from '@vscode/vsce';
import { carryPackages } from './carried.ts';
import { nodeRuntime, thisTarget } from './nodeRuntime.ts';

const { values } = parseArgs({
  options: { target: { type: 'string', default: thisTarget }, light: { type: 'boolean', default: false } },
});
const { version } = JSON.parse(readFileSync('package.json', 'utf8'));
const packagePath = `rankscope-${values.target}-${version}${values.light ? '-light' : ''}.vsix`;

execFileSync(process.execPath, ['src/build/build.mjs', '--minify'], { stdio: 'inherit' });
rmSync('dist/node', { recursive: true, force: true });
if (!values.light) copyNode(values.target);
carryPackages(values.target);
await createVSIX({
  packagePath,
  target: values.target,
  dependencies: false,
  // Links stay relative: they hold in the repository, wherever it lies.
  rewriteRelativeLinks: false,
});
console.log(`${packagePath}: ${megabytes(packagePath)} MB`);

/** The runtime as dist/node/bin/node (dist/node/node.exe on Windows), with its licence. */
function copyNode(target: string): void {
  const from = nodeRuntime(target);
  const windows = target.startsWith('win32');
  const executable = windows ? 'dist/node/node.exe' : 'dist/node/bin/node';
  cpSync(join(from, 'bin', windows ? 'node.exe' : 'node'), executable);
  // The Windows packages carry no licence file; it is one text.
  cpSync(join(nodeRuntime('linux-x64'), 'LICENSE'), 'dist/node/LICENSE');
  chmodSync(executable, 0o755);
  console.log(`Node for ${target}: ${megabytes(executable)} MB before compression`);
}

function megabytes(file: string): string {
  return (statSync(file).size / 1e6).toFixed(1);
}
