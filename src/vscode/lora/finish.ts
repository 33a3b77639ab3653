import { join } from 'node:path';
import * as vscode from 'vscode';
import { inTheWay, type OutForm } from '../../window/lora/places.ts';
import type { LoraReport } from '../../window/lora/reports.ts';
import { openInspector } from '../commands/analyze.ts';
import { mayReplace } from '../pages/save.ts';

/** Where a result goes. */
interface Target {
  readonly out: string;
  readonly form: OutForm;
}

/** Whether files that a result would replace may be; undefined if the person does not want that. */
export async function askOverwrite({ out, form }: Target): Promise<boolean | undefined> {
  const files = inTheWay(out, form);
  if (files.length === 0) return false;
  return (await mayReplace(files)) ? true : undefined;
}

/** Opens what was written, and says what it is; the layers are a click away. */
export async function showResult({ out, form }: Target, { sentence, document }: LoraReport): Promise<void> {
  const file = form === 'file' ? out : join(out, ...(form === 'pair' ? ['adapter'] : []), 'adapter_model.safetensors');
  await openInspector(vscode.Uri.file(file));
  const showLayers = async () => {
    if ((await vscode.window.showInformationMessage(sentence, 'Show Layers')) === undefined) return;
    const opened = await vscode.workspace.openTextDocument({ language: 'markdown', content: document });
    await vscode.window.showTextDocument(opened, { preview: false });
  };
  // The message may stay for long: the command ends without it.
  void showLayers();
}
