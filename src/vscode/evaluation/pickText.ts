import { basename, dirname } from 'node:path';
import * as vscode from 'vscode';
import type { Workbench } from '../workbench.ts';

/** What a text is for: models are measured on another text than the one that statistics come from. */
export type TextUse = 'evaluation' | 'calibration';

const USES: Readonly<Record<TextUse, { title: string; other: TextUse; caution: string }>> = {
  evaluation: {
    title: 'Choose a Text to Measure On',
    other: 'calibration',
    caution: 'the activations were collected on it: measure on another text',
  },
  calibration: {
    title: 'Choose a Text to Collect Activations On',
    other: 'evaluation',
    caution: 'the model is measured on it: collect on another text',
  },
};

/** Texts that the workspace remembers for each use. */
const REMEMBERED = 5;

/** What `pickText` returns where no text is wanted. */
export const WITHOUT_TEXT = '';

/**
 * Asks for a text, or for a file of token ids (`textFileOf` tells them apart); those of earlier times come first.
 * undefined if the user cancels.
 * @param canBeWithout Whether the model may write the text itself; the answer is then `WITHOUT_TEXT`.
 */
export async function pickText(
  { context }: Pick<Workbench, 'context'>,
  use: TextUse,
  canBeWithout = false,
): Promise<string | undefined> {
  const known = remembered(context, use);
  const { title, other, caution } = USES[use];
  const elsewhere = remembered(context, other);
  const items = known.map((file) => ({
    label: basename(file),
    description: dirname(file),
    ...(elsewhere.includes(file) ? { detail: `$(warning) ${caution}` } : {}),
    file,
  }));
  const another = { label: '$(folder-opened) Another text…', file: undefined };
  const without = { label: '$(edit) No text: the model writes one itself', file: WITHOUT_TEXT };
  const choices = [...items, another, ...(canBeWithout ? [without] : [])];
  const picked = choices.length === 1 ? another : await vscode.window.showQuickPick(choices, { title });
  const file = picked && (picked.file ?? (await askFile(title, known[0])));
  if (file) await rememberText(context, use, file);
  return file;
}

/** Puts `file` first among the texts of the workspace. */
export async function rememberText(context: vscode.ExtensionContext, use: TextUse, file: string): Promise<void> {
  const others = remembered(context, use).filter((other) => other !== file);
  await context.workspaceState.update(keyOf(use), [file, ...others].slice(0, REMEMBERED));
}

function remembered(context: vscode.ExtensionContext, use: TextUse): readonly string[] {
  return context.workspaceState.get<string[]>(keyOf(use)) ?? [];
}

const keyOf = (use: TextUse): string => `texts:${use}`;

async function askFile(title: string, near: string | undefined): Promise<string | undefined> {
  const picked = await vscode.window.showOpenDialog({
    title,
    openLabel: 'Choose',
    filters: { 'Texts and token ids': ['txt', 'md', 'text', 'raw', 'json', 'ids'], 'All files': ['*'] },
    ...(near === undefined ? {} : { defaultUri: vscode.Uri.file(dirname(near)) }),
  });
  return picked?.[0]?.fsPath;
}
