import { basename } from 'node:path';
import * as vscode from 'vscode';
import { type LoraChoice, loraChoices, suggestionDocument } from '../../window/lora/choices.ts';
import { cancellable } from '../pages/progress.ts';
import { engineRequest } from '../settings.ts';
import type { Workbench } from '../workbench.ts';

/** A choice that is already made. */
export type SuggestTarget = Pick<LoraChoice, 'targets' | 'rank'>;

/**
 * "Suggest LoRA Ranks": lists what LoRA costs for each set of modules and rank, and opens the configuration for the
 * chosen budget, with the reasons for the rank of each module.
 */
export async function suggestLora({ engine }: Workbench, path: string, what?: SuggestTarget): Promise<void> {
  const chosen = what ?? (await ask(engine.service, path));
  if (!chosen) return;
  const { targets, rank } = chosen;
  const suggestion = await cancellable(`Suggesting ranks for ${basename(path)}`, (context) =>
    engine.service.loraSuggest({ path, targets, rank, ...engineRequest() }, context),
  );
  const document = await vscode.workspace.openTextDocument({
    language: 'python',
    content: suggestionDocument(suggestion),
  });
  await vscode.window.showTextDocument(document, { preview: false });
}

async function ask(service: Workbench['engine']['service'], path: string): Promise<LoraChoice | undefined> {
  const count = await service.loraCount({ path, ranks: [4, 8, 16, 32, 64] });
  return vscode.window.showQuickPick(loraChoices(count), {
    title: `LoRA for ${basename(path)}`,
    placeHolder: 'What to adapt, and the budget',
    matchOnDescription: true,
  });
}
