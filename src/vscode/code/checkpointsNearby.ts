import * as vscode from 'vscode';
import type { Session } from '../../window/sessions/session.ts';
import type { Workbench } from '../workbench.ts';
import { workspaceFiles } from './workspaceFiles.ts';

/** Files that are whole checkpoints: the index of a sharded one, never a single shard. */
const ENDINGS = ['.safetensors', '.gguf', '.safetensors.index.json'];
const SHARD = /-\d{5}-of-\d{5}\.\w+$/;
const LIMIT = 10;
/** How long a hover may wait for directories to be read. */
const PATIENCE_MS = 3000;

/**
 * The checkpoints that code can belong to: those opened recently and, so that a hover can offer to analyze them, those
 * in the workspace. Their directories are read once, on the first question about code.
 */
export class CheckpointsNearby {
  private reading: Promise<unknown> | undefined;

  constructor(private readonly workbench: Workbench) {
    const watcher = vscode.workspace.createFileSystemWatcher(`**/*{${ENDINGS}}`, false, true, true);
    watcher.onDidCreate(() => (this.reading = undefined));
    workbench.context.subscriptions.push(watcher);
  }

  async sessions(): Promise<Session[]> {
    this.reading ??= this.read();
    await Promise.race([this.reading, new Promise((resolve) => setTimeout(resolve, PATIENCE_MS))]);
    return this.workbench.store.known();
  }

  private async read(): Promise<void> {
    const { store, log } = this.workbench;
    const found = await workspaceFiles(ENDINGS, 10 * LIMIT, log);
    const files = found.filter((path) => !SHARD.test(path));
    const paths = [...new Set([...store.recent(), ...files])].slice(0, LIMIT);
    const sessions = await Promise.all(paths.map((path) => store.load(path)));
    log.debug(`Code is matched with ${sessions.filter(({ view }) => view).length} of ${paths.length} checkpoints`);
  }
}
