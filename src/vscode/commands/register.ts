import * as vscode from 'vscode';
import { RankscopeError } from '../../base/errors.ts';
import type { Workbench } from '../workbench.ts';

// biome-ignore lint/suspicious/noExplicitAny: a command's arguments come from menus, links and other extensions.
type Action = (...args: any[]) => unknown;

/** Registers commands whose errors are shown to the person, with the way to the log. */
export function registerCommands(workbench: Workbench, actions: Readonly<Record<string, Action>>): void {
  for (const [name, action] of Object.entries(actions)) {
    const run = async (...args: unknown[]) => {
      try {
        return await action(...args);
      } catch (error) {
        if (error instanceof RankscopeError && error.code === 'cancelled') return undefined;
        void showError(workbench.log, error);
        return undefined;
      }
    };
    workbench.context.subscriptions.push(vscode.commands.registerCommand(`rankscope.${name}`, run));
  }
}

/** Tells the person what went wrong; what was pending in a dead engine was told already, once for all calls. */
export async function showError(log: vscode.LogOutputChannel, error: unknown): Promise<void> {
  const text = error instanceof Error ? error.message : String(error);
  log.error(error instanceof Error ? error : text);
  if (error instanceof RankscopeError && error.code === 'engine' && error.subject === 'engine process') return;
  if ((await vscode.window.showErrorMessage(`Rankscope: ${text}`, 'Show Log')) !== undefined) log.show();
}
