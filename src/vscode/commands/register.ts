import * as vscode from 'vscode';
import { RankscopeError } from '../../base/errors.ts';
import type { Workbench } from '../workbench.ts';

// biome-ignore lint/suspicious/noExplicitAny: a command's arguments come from menus, links and other extensions.
type Action = (...args: any[]) => unknown;

/** Registers commands; their errors are shown to the user, with a button that opens the log. */
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

/** Shows an error. The death of the engine process is not shown again: it was reported once for all pending calls. */
export async function showError(log: vscode.LogOutputChannel, error: unknown): Promise<void> {
  const text = error instanceof Error ? error.message : String(error);
  log.error(error instanceof Error ? error : text);
  if (error instanceof RankscopeError && error.code === 'engine' && error.subject === 'engine process') return;
  if ((await vscode.window.showErrorMessage(`Rankscope: ${text}`, 'Show Log')) !== undefined) log.show();
}
