// Runs the suite of test/vscode in a desktop VS Code, which @vscode/test-electron downloads: for where the internet is
// open.
import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { resolve } from 'node:path';
import { runTests } from '@vscode/test-electron';
import { temporarySample } from '../../src/build/host/sample.ts';
import { bundleSuite } from './suite.ts';

execFileSync(process.execPath, ['src/build/build.mjs'], { stdio: 'inherit' });
mkdirSync('test-output', { recursive: true });
const workspace = temporarySample();
try {
  process.exitCode = await runTests({
    version: process.argv[2] ?? 'stable',
    cachePath: resolve('.vscode-host/desktop'),
    extensionDevelopmentPath: process.cwd(),
    extensionTestsPath: await bundleSuite(),
    launchArgs: [workspace.folder, '--disable-workspace-trust', '--disable-extensions'],
    extensionTestsEnv: { RANKSCOPE_TEST_RESULTS: resolve('test-output/desktop.json') },
  });
} finally {
  workspace.remove();
}
