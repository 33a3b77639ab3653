// Opens a real VS Code on the sample workspace with this extension in it, and keeps it open until Ctrl-C.
import { execFileSync, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, symlinkSync } from 'node:fs';
import os from 'node:os';
import { delimiter, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { workbenchUrl } from './browser.ts';
import { SAMPLE } from './sample.ts';
import { startServer } from './server.ts';

const { values, positionals } = parseArgs({
  options: { server: { type: 'boolean', default: false }, port: { type: 'string', default: '0' } },
  allowPositionals: true,
});

execFileSync(process.execPath, ['src/build/build.mjs'], { stdio: 'inherit' });
const folder = positionals[0] === undefined ? sampleWorkspace() : resolve(positionals[0]);
const code = values.server ? undefined : desktopCode();
if (code === undefined) await openServer();
else openDesktop(code);

/** The sample, copied to where it may be changed; what was changed there before stays. */
function sampleWorkspace(): string {
  const copy = resolve('test-output/workspace/sample');
  mkdirSync(copy, { recursive: true });
  cpSync(SAMPLE, copy, { recursive: true, force: false });
  return copy;
}

/**
 * The desktop's `code`; not the command that VS Code servers put into their own terminals, which opens files over
 * there.
 */
function desktopCode(): string | undefined {
  if (process.platform === 'linux' && !process.env.DISPLAY && !process.env.WAYLAND_DISPLAY) return undefined;
  if (process.env.VSCODE_IPC_HOOK_CLI !== undefined) return undefined;
  const names = process.platform === 'win32' ? ['code.cmd'] : ['code'];
  const found = (process.env.PATH ?? '')
    .split(delimiter)
    .flatMap((place) => names.map((name) => join(place, name)))
    .find((file) => existsSync(file));
  return found === undefined || /code-server|remote-cli/.test(realpathSync(found)) ? undefined : found;
}

function openDesktop(command: string): void {
  console.log(`Opening ${folder} in VS Code; closing its window ends this.`);
  spawn(command, ['--new-window', '--wait', `--extensionDevelopmentPath=${process.cwd()}`, folder], {
    stdio: 'inherit',
    shell: process.platform === 'win32',
  });
}

async function openServer(): Promise<void> {
  const extensions = mkdtempSync(join(os.tmpdir(), 'rankscope-extensions-'));
  const { publisher, name, version } = JSON.parse(readFileSync('package.json', 'utf8'));
  // A link: after a change, `npm run build` and "Developer: Reload Window" show it.
  symlinkSync(process.cwd(), join(extensions, `${publisher}.${name}-${version}`));
  const token = randomUUID();
  const server = await startServer({
    extensions,
    token,
    port: Number(values.port),
    settings: { 'workbench.startupEditor': 'readme' },
  });
  const end = async () => {
    await server.stop();
    rmSync(extensions, { recursive: true, force: true });
    process.exit(0);
  };
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void end());
  const address = new URL(workbenchUrl(server, folder));
  address.searchParams.set('tkn', token);
  console.log(`\nVS Code with Rankscope is open on ${folder}\n\n  ${address.href}\n\nCtrl-C ends it.`);
}
