import * as vscode from 'vscode';
import type { Session } from '../../window/sessions/session.ts';
import type { Workbench } from '../workbench.ts';
import { workspaceFiles } from './workspaceFiles.ts';

/** Whole checkpoints: a shard alone is not one, its index is. */
const ENDINGS = ['.safetensors', '.gguf', '.safetensors.index.json'];
const SHARD = /-\d{5}-of-\d{5}\.\w+$/;
const LIMIT = 10;
/** A hover that comes later than this is not waited for any more. */
const PATIENCE_MS = 3000;

/**
 * The checkpoints that code can be about: those that were opened, and, so that a hover can offer their analysis, those that lie in
 * the workspace. Of the latter the directory is read, once, when code is first asked about.
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
    log.debug(`Code is compared with ${sessions.filter(({ view }) => view).length} of ${paths.length} checkpoints`);
  }
}
