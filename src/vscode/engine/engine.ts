import { existsSync } from 'node:fs';
import * as vscode from 'vscode';
import { EngineClient } from '../../window/engine/engineClient.ts';
import { startEngine } from '../../window/engine/engineProcess.ts';
import { findNode, runtimes } from '../../window/engine/runtimes.ts';
import { blasFile, cacheBytes, nodePath } from '../settings.ts';
import { tensorFlowFolder } from './installTensorFlow.ts';
import { chosenInterpreter } from './interpreter.ts';

/** The engine client of this window, with its status bar item and the message for when the process dies. */
export function createEngine(context: vscode.ExtensionContext, log: vscode.LogOutputChannel): EngineClient {
  let hasCrashed = false;
  const client = new EngineClient(async () =>
    startEngine(
      runtimes({
        setting: nodePath(),
        extensionPath: context.extensionPath,
        execPath: process.execPath,
        electron: process.versions.electron !== undefined,
        platform: process.platform,
        exists: existsSync,
        nodeOnPath: await findNode(process.env.PATH, process.platform, openFolders()),
      }),
      {
        script: context.asAbsolutePath('dist/engine.js'),
        arguments: vscode.workspace.isTrusted
          ? [
              '--cache',
              context.globalStorageUri.fsPath,
              '--cache-bytes',
              String(cacheBytes()),
              ...(await blasWords(hasCrashed)),
            ]
          : ['--no-cache'],
        // A folder that the user named takes precedence over our own.
        env: process.env.RANKSCOPE_TENSORFLOW ? {} : { RANKSCOPE_TENSORFLOW: tensorFlowFolder(context) },
        log: (line) => log.info(line),
      },
    ),
  );
  client.died.on(({ reason, pending }) => {
    hasCrashed ||= CRASH.test(reason);
    void tellOfDeath(log, reason, pending);
  });
  context.subscriptions.push(
    { dispose: () => client.stop() },
    busyItem(client),
    // A process started without trust has no cache and no BLAS; it is replaced by one that has.
    vscode.workspace.onDidGrantWorkspaceTrust(() => client.renew()),
    // A process keeps away from the folders that were open when it started.
    vscode.workspace.onDidChangeWorkspaceFolders(() => client.renew()),
    vscode.workspace.onDidChangeConfiguration((event) => {
      if (OF_A_PROCESS.some((name) => event.affectsConfiguration(name))) renewVisibly(client, log);
    }),
  );
  return client;
}

/** How a process ends whose native code fails, on Unix and on Windows: not by being killed, nor out of memory. */
const CRASH = /SIG(?:SEGV|BUS|ILL|FPE)|code 322122\d{4}/;

/** Which BLAS the process may load, in a trusted workspace: none after a crash, which it may have caused. */
async function blasWords(hasCrashed: boolean): Promise<string[]> {
  if (hasCrashed) return ['--trusted', '--crashed'];
  const interpreter = await chosenInterpreter();
  return [
    '--trusted',
    ...(blasFile() === '' ? [] : [`--blas=${blasFile()}`]),
    ...(interpreter === undefined ? [] : [`--python=${interpreter}`]),
    ...openFolders().map((folder) => `--open=${folder}`),
  ];
}

/** The open folders: nothing in them decides what runs here. */
export function openFolders(): string[] {
  return (vscode.workspace.workspaceFolders ?? [])
    .filter(({ uri }) => uri.scheme === 'file')
    .map(({ uri }) => uri.fsPath);
}

/** Settings that are fixed when the process starts; all others go with each call. */
const OF_A_PROCESS = ['rankscope.cache.megabytes', 'rankscope.node.path', 'rankscope.blas'];

function renewVisibly(client: EngineClient, log: vscode.LogOutputChannel): void {
  if (client.pid === undefined) return;
  const text = client.isIdle
    ? 'Rankscope: restarting the engine with the new settings'
    : 'Rankscope: the engine restarts with the new settings when its current run is done';
  log.info(text);
  vscode.window.setStatusBarMessage(text, 8000);
  client.renew();
}

async function tellOfDeath(log: vscode.LogOutputChannel, reason: string, pending: number): Promise<void> {
  log.error(`Engine process ended: ${reason}; ${pending} calls were pending`);
  if (pending === 0) return;
  const text = `The Rankscope engine process ended (${reason}), and its work was lost. Run the command again to start a new process.`;
  if ((await vscode.window.showErrorMessage(text, 'Show Log')) !== undefined) log.show();
}

function busyItem(client: EngineClient): vscode.Disposable {
  const item = vscode.window.createStatusBarItem('rankscope.busy', vscode.StatusBarAlignment.Left);
  item.name = 'Rankscope';
  item.text = '$(sync~spin) Rankscope';
  item.tooltip = 'Rankscope is working. Click to open its log.';
  item.command = 'rankscope.showLog';
  let timer: NodeJS.Timeout | undefined;
  const off = client.busy.on((pending) => {
    clearTimeout(timer);
    if (pending === 0) item.hide();
    // Short calls must not make the item flicker.
    else timer = setTimeout(() => item.show(), 300);
  });
  return vscode.Disposable.from(item, { dispose: off }, { dispose: () => clearTimeout(timer) });
}
