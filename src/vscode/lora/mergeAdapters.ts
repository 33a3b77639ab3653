import { existsSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import * as vscode from 'vscode';
import { type CheckpointArgument, openInspector, uriOf } from '../commands/analyze.ts';
import { checkpointPath } from '../inspector/checkpointFile.ts';
import { cancellable } from '../pages/progress.ts';
import { requireTrust } from '../pages/save.ts';
import { engineRequest } from '../settings.ts';
import type { Workbench } from '../workbench.ts';

const METHODS = [
  { label: 'svd', description: 'the best approximation of the sum, of the largest rank of the adapters' },
  { label: 'cat', description: 'exactly the sum; the ranks add up' },
  { label: 'linear', description: 'sums of A and of B: rough, for adapters of one rank' },
] as const;

/** How to merge, and the name of the result's folder. */
export interface MergeTarget {
  readonly method: (typeof METHODS)[number]['label'];
  readonly name: string;
}

/** "Merge Adapters": makes one adapter of those that are selected in the Explorer, and opens it. */
export async function mergeAdapters(
  { engine }: Workbench,
  target: CheckpointArgument,
  several: readonly vscode.Uri[] = [],
  what?: MergeTarget,
): Promise<void> {
  requireTrust();
  const given = several.length > 0 ? several : [uriOf(target)].filter((uri) => uri !== undefined);
  if (given.length < 2) {
    void vscode.window.showInformationMessage('Select two or more adapters in the Explorer to merge them.');
    return;
  }
  const paths = [...new Set(given.map(checkpointPath))];
  const { method, name } = what ?? (await ask(paths)) ?? {};
  if (method === undefined || name === undefined) return;
  const out = vscode.Uri.joinPath(vscode.Uri.file(dirname(paths[0]!)), name);
  const request = { kind: 'combine', paths, out: out.fsPath, combination: method, ...engineRequest() } as const;
  const question = `Replace the adapter in ${name}?`;
  const overwrite = existsSync(vscode.Uri.joinPath(out, 'adapter_config.json').fsPath);
  if (overwrite && (await vscode.window.showWarningMessage(question, { modal: true }, 'Replace')) !== 'Replace') return;
  await cancellable(`Merging ${paths.length} adapters`, (context) =>
    engine.service.loraWrite({ ...request, overwrite }, context),
  );
  await openInspector(vscode.Uri.joinPath(out, 'adapter_model.safetensors'));
}

async function ask(paths: readonly string[]): Promise<MergeTarget | undefined> {
  const title = `Merge ${paths.map((path) => basename(path)).join(' and ')}`;
  const method = await vscode.window.showQuickPick(METHODS, { title });
  const name = method && (await askName());
  return name === undefined ? undefined : { method: method!.label, name };
}

function askName(): Thenable<string | undefined> {
  return vscode.window.showInputBox({
    title: 'The Merged Adapter',
    prompt: 'The name of its folder, beside the first of the adapters',
    value: 'merged',
    validateInput: (text) => (text.trim() === '' || /[\\/]/.test(text) ? 'The name of a folder' : undefined),
  });
}
