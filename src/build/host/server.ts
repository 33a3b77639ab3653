import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import { resolve as absolute, join } from 'node:path';
import { promisify } from 'node:util';
import { host, type Release } from './setup.ts';

export interface ServerOptions {
  readonly release?: Release;
  /** Where extensions are installed; a new empty folder where left out. */
  readonly extensions?: string;
  /** User settings on top of those that keep the workbench quiet. */
  readonly settings?: Readonly<Record<string, unknown>>;
  /** The switch that tests inside the extension host need; it hides notifications, so UI tests leave it out. */
  readonly driver?: boolean;
  /** Whether the workbench asks if the folder is trusted; left out, every folder is. */
  readonly askTrust?: boolean;
  /** Asked of whoever connects; none where left out: only for tests. */
  readonly token?: string;
  readonly port?: number;
  /** Added to the environment of the server and of its extension hosts. */
  readonly environment?: NodeJS.ProcessEnv;
  /** Where settings and window state are kept; a temporary folder, removed at the end, where left out. */
  readonly data?: string;
}

export interface Server {
  /** `http://127.0.0.1:PORT` */
  readonly url: string;
  /** The extensions folder in use. */
  readonly extensions: string;
  /** All it printed so far. */
  readonly log: () => string;
  /** Ends the server with everything it started, and removes what was temporary. */
  readonly stop: () => Promise<void>;
}

const QUIET = {
  'telemetry.telemetryLevel': 'off',
  'extensions.autoUpdate': false,
  'extensions.autoCheckUpdates': false,
  'extensions.ignoreRecommendations': true,
  'git.enabled': false,
  'chat.disableAIFeatures': true,
  'chat.commandCenter.enabled': false,
  'workbench.startupEditor': 'none',
  'workbench.enableExperiments': false,
  'workbench.tips.enabled': false,
  'workbench.secondarySideBar.defaultVisibility': 'hidden',
  'typescript.disableAutomaticTypeAcquisition': true,
  'update.mode': 'none',
};

const START_MS = 60_000;

/** Starts a VS Code server on a free port of 127.0.0.1. */
export async function startServer(options: ServerOptions = {}): Promise<Server> {
  const { node, server } = host(options.release ?? 'newest');
  const temporary = mkdtempSync(join(os.tmpdir(), 'rankscope-vscode-'));
  const data = options.data ?? join(temporary, 'data');
  const extensions = options.extensions ?? join(temporary, 'extensions');
  const home = join(temporary, 'home');
  const user = join(data, 'data/User');
  for (const folder of [extensions, home, user]) mkdirSync(folder, { recursive: true });
  writeFileSync(join(user, 'settings.json'), JSON.stringify({ ...QUIET, ...options.settings }, null, 2));

  const child = spawn(
    node,
    [
      server,
      ...['--host', '127.0.0.1', '--port', String(options.port ?? 0), '--accept-server-license-terms'],
      ...(options.token === undefined ? ['--without-connection-token'] : ['--connection-token', options.token]),
      ...['--telemetry-level', 'off', '--server-data-dir', data, '--extensions-dir', extensions],
      ...(options.driver ? ['--enable-smoke-test-driver'] : []),
      ...(options.askTrust ? [] : ['--disable-workspace-trust']),
    ],
    // A group of its own, so that it can be ended with its extension hosts and their engine processes.
    { detached: true, stdio: ['ignore', 'pipe', 'pipe'], env: { ...environmentOf(home), ...options.environment } },
  );
  let log = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => (log += String(text)));
  const killGroup = () => endGroup(child);
  process.once('exit', killGroup);
  const stop = async () => {
    process.off('exit', killGroup);
    killGroup();
    await groupGone(child);
    removeTemporary(temporary);
  };
  try {
    return { url: await addressOf(child, () => log), extensions, log: () => log, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Installs a `.vsix` into an extensions folder by the server's own command line. */
export async function installVsix(vsix: string, extensions: string, release: Release = 'newest'): Promise<void> {
  const { node, server } = host(release);
  const data = mkdtempSync(join(os.tmpdir(), 'rankscope-install-'));
  try {
    const command = ['--install-extension', absolute(vsix), '--force', '--extensions-dir', extensions];
    const { stdout, stderr } = await promisify(execFile)(
      node,
      [server, '--accept-server-license-terms', '--server-data-dir', data, ...command],
      { env: environmentOf(data) },
    );
    if (!stdout.includes('successfully installed')) throw new Error(`Installing ${vsix} failed:\n${stdout}\n${stderr}`);
  } finally {
    removeTemporary(data);
  }
}

/** What a server sees of this machine: no editor variables of a terminal it may be started from. */
function environmentOf(home: string): NodeJS.ProcessEnv {
  const passed = Object.entries(process.env).filter(
    ([name]) => ['PATH', 'LANG', 'TMPDIR', 'NODE_V8_COVERAGE'].includes(name) || name.startsWith('RANKSCOPE_'),
  );
  return { LANG: 'C.UTF-8', ...Object.fromEntries(passed), HOME: home, XDG_CONFIG_HOME: join(home, '.config') };
}

function addressOf(child: ChildProcess, log: () => string): Promise<string> {
  return new Promise((resolve, reject) => {
    const fail = (what: string) => () => {
      clearInterval(poll);
      reject(new Error(`The VS Code server ${what}:\n${log()}`));
    };
    const poll = setInterval(() => {
      const address = /Web UI available at http:\/\/\S+?:(\d+)/.exec(log());
      if (address === null) return;
      clearInterval(poll);
      resolve(`http://127.0.0.1:${address[1]}`);
    }, 20);
    child.once('exit', fail('ended at its start'));
    setTimeout(fail(`did not start in ${START_MS / 1000} s`), START_MS).unref();
  });
}

/**
 * Waits until nothing of the group is left, so that what it wrote to can be removed; throws where something survives.
 */
async function groupGone(child: ChildProcess): Promise<void> {
  for (let waited = 0; waited < 5000; waited += 50) {
    try {
      process.kill(-(child.pid ?? 0), 0);
    } catch {
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`Processes of the VS Code server ${child.pid} outlive it.`);
}

function endGroup(child: ChildProcess): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch {
    // It is gone already.
  }
}

/** Children that were just killed may still be writing: tried a few times, and never a reason to fail. */
function removeTemporary(folder: string): void {
  try {
    rmSync(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 200 });
  } catch {
    console.warn(`left behind: ${folder}`);
  }
}
