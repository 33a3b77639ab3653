import { basename, join } from 'node:path';
import * as vscode from 'vscode';
import type { LayerCodeRequest } from '../../protocol/service.ts';
import { insertionLine } from '../../window/insertionLine.ts';
import { requireTrust } from '../pages/save.ts';
import type { Workbench } from '../workbench.ts';

/** What the command is told; it asks for what is left out. */
export interface LayersTarget {
  readonly layers?: 'two' | 'three' | 'plan';
  /** `editor` is the Python file in the active editor; anything else is a file to write. */
  readonly file?: 'editor' | vscode.Uri;
}

/**
 * "Insert Low-Rank Layers for PyTorch": puts the layers into the Python file in the editor, behind its imports, or into
 * a new file. Returns the file; undefined if the user cancels.
 */
export async function insertLayers(workbench: Workbench, target: LayersTarget = {}): Promise<vscode.Uri | undefined> {
  const editor = vscode.window.activeTextEditor;
  const layers = target.layers ?? (await askLayers(workbench));
  if (layers === undefined) return undefined;
  const file = target.file ?? (await askFile(editor));
  if (file === undefined) return undefined;
  const { text } = await workbench.engine.service.layerCode(await requestOf(workbench, layers));
  if (file !== 'editor') {
    requireTrust();
    await vscode.workspace.fs.writeFile(file, Buffer.from(text));
    await vscode.window.showTextDocument(file, { preview: false });
    return file;
  }
  if (editor?.document.languageId !== 'python') throw new Error('The active editor shows no Python file: open one.');
  const { document } = editor;
  const line = insertionLine(document.getText());
  // The last line may have no end.
  const position = line < document.lineCount ? new vscode.Position(line, 0) : document.lineAt(line - 1).range.end;
  await editor.edit((edit) => edit.insert(position, `${line === 0 ? '' : '\n\n'}${text}\n\n`));
  editor.revealRange(new vscode.Range(position, position), vscode.TextEditorRevealType.InCenter);
  return document.uri;
}

async function requestOf({ desk }: Workbench, layers: LayersTarget['layers']): Promise<LayerCodeRequest> {
  return layers === 'plan' ? { plan: await desk.compute() } : { factors: layers === 'three' ? 3 : 2 };
}

async function askLayers({ desk }: Workbench): Promise<LayersTarget['layers']> {
  const { current } = desk.snapshot();
  const items = [
    { layers: 'two' as const, label: 'W = B A', detail: 'LowRankLinear and the layers of other kinds' },
    { layers: 'three' as const, label: 'W = U S V', detail: 'SVDLinear and the layers of other kinds' },
    ...(typeof current === 'string'
      ? [
          {
            layers: 'plan' as const,
            label: `The plan for ${basename(current)}`,
            detail: 'the layers with the ranks of the plan, for factorize(model, RANKS)',
          },
        ]
      : []),
  ];
  const picked = await vscode.window.showQuickPick(items, { title: 'Insert Low-Rank Layers for PyTorch' });
  return picked?.layers;
}

async function askFile(editor: vscode.TextEditor | undefined): Promise<LayersTarget['file']> {
  const inEditor = editor?.document.languageId === 'python' ? basename(editor.document.fileName) : undefined;
  if (inEditor !== undefined) {
    const items = [
      { isNew: false, label: `Into ${inEditor}`, detail: 'behind its imports' },
      { isNew: true, label: 'Into a new file...' },
    ];
    const picked = await vscode.window.showQuickPick(items, { title: 'Insert Low-Rank Layers for PyTorch' });
    if (!picked?.isNew) return picked && 'editor';
  }
  const [folder] = vscode.workspace.workspaceFolders ?? [];
  return vscode.window.showSaveDialog({
    title: 'Write Low-Rank Layers for PyTorch',
    ...(folder ? { defaultUri: vscode.Uri.file(join(folder.uri.fsPath, 'lowrank.py')) } : {}),
    filters: { Python: ['py'] },
  });
}
