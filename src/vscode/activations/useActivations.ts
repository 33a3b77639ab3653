import { basename, dirname } from 'node:path';
import * as vscode from 'vscode';
import { openInspector } from '../commands/analyze.ts';
import type { Workbench } from '../workbench.ts';
import { collectActivations } from './collectActivations.ts';

/**
 * "Use Activations": shows the ranks of W X beside those of W in the inspector of `path`, with the statistics of a
 * file. Asks for the file unless it is given, and offers to collect statistics or to use them no longer.
 */
export async function useActivations(workbench: Workbench, path: string, file?: string): Promise<void> {
  const session = workbench.store.get(path);
  const chosen = file ?? (await choose(workbench, path, session.statisticsPath));
  if (chosen === undefined) return;
  await openInspector(vscode.Uri.file(path));
  void session.useStatistics(chosen);
}

/** A file, null for none, or undefined if there is nothing more to do. */
async function choose(workbench: Workbench, path: string, current: string | null): Promise<string | null | undefined> {
  const picked = await vscode.window.showQuickPick(
    [
      { id: 'file', label: '$(folder-opened) Use a file…', description: 'of Rankscope, or an imatrix of llama.cpp' },
      { id: 'collect', label: '$(play) Collect on a text…' },
      ...(current === null ? [] : [{ id: 'none', label: `$(close) Stop using ${basename(current)}` }]),
    ],
    { title: 'Activations', placeHolder: 'See the weights as the activations on a text see them' },
  );
  if (picked?.id === 'collect') await collectActivations(workbench, path);
  if (picked?.id === 'none') return null;
  return picked?.id === 'file' ? askStatistics(path) : undefined;
}

/** Asks for a file of statistics, by default beside `path`; undefined if the user cancels. */
export async function askStatistics(path: string): Promise<string | undefined> {
  const uris = await vscode.window.showOpenDialog({
    title: 'Choose Statistics of Activations',
    openLabel: 'Use',
    defaultUri: vscode.Uri.file(dirname(path)),
    filters: { Activations: ['safetensors', 'gguf', 'dat'], 'All files': ['*'] },
  });
  return uris?.[0]?.fsPath;
}
