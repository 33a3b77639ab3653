import { dirname, join } from 'node:path';
import * as vscode from 'vscode';
import { baseName } from '../../base/paths.ts';
import type { ModelComparison } from '../../window/diff/modelComparison.ts';
import { openInspector } from '../commands/analyze.ts';
import { cancellable } from '../pages/progress.ts';
import { requireTrust } from '../pages/save.ts';
import type { Workbench } from '../workbench.ts';

/**
 * Asks for a file, writes the other model to it with these attention heads of the base, and opens it.
 * @throws RankscopeError for heads that the models do not have
 */
export async function restoreHeads({ engine }: Workbench, comparison: ModelComparison, heads: string): Promise<void> {
  requireTrust();
  const request = comparison.restoring(heads);
  const { other } = request;
  const target = await vscode.window.showSaveDialog({
    title: 'Write the Mixed Checkpoint',
    defaultUri: vscode.Uri.file(join(dirname(other), `${stemOf(other)}-mixed.safetensors`)),
    filters: { safetensors: ['safetensors'] },
  });
  if (!target) return;
  // The dialog has asked about a file that exists.
  const { remarks } = await cancellable(`Taking ${request.heads.length} heads back`, (context) =>
    engine.service.restoreHeads({ ...request, out: target.fsPath, overwrite: true }, context),
  );
  if (remarks.length > 0) void vscode.window.showInformationMessage(remarks.join(' '));
  await openInspector(target);
}

const stemOf = (path: string) => baseName(path).replace(/\.(safetensors|gguf|bin|pth?|ckpt)$/i, '');
