import { existsSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import * as vscode from 'vscode';
import { formatWhole } from '../../base/quantities.ts';
import { textFileOf } from '../../window/textFile.ts';
import { openInspector } from '../commands/analyze.ts';
import { pickText, rememberText } from '../evaluation/pickText.ts';
import { cancellable } from '../pages/progress.ts';
import { mayReplace, requireTrust } from '../pages/save.ts';
import { collectionLimits, engineRequest } from '../settings.ts';
import type { Workbench } from '../workbench.ts';

/** What the command is told; it asks for what is left out. */
export interface CollectTarget {
  readonly text?: string;
  readonly out?: string;
}

/**
 * "Collect Activations": passes a text through the model, writes the statistics of its layers' inputs, and uses them in
 * the inspector. Returns the file; undefined if the user cancels.
 */
export async function collectActivations(
  { context, engine, store }: Workbench,
  path: string,
  target: CollectTarget = {},
): Promise<string | undefined> {
  requireTrust();
  const text = target.text ?? (await pickText({ context }, 'calibration'));
  if (text === undefined) return undefined;
  if (target.text !== undefined) await rememberText(context, 'calibration', text);
  const out = target.out ?? (await askOut(path));
  if (out === undefined) return undefined;
  const overwrite = existsSync(out);
  if (overwrite && !(await mayReplace([out]))) return undefined;
  const source = await textFileOf(text);
  const report = await cancellable(`Collecting activations of ${basename(path)}`, (progress) =>
    engine.service.calibrate({ path, ...source, out, overwrite, ...collectionLimits(), ...engineRequest() }, progress),
  );
  await openInspector(vscode.Uri.file(path));
  void store.get(path).useStatistics(report.out);
  void vscode.window.showInformationMessage(reportText(report));
  return report.out;
}

function reportText(report: {
  readonly out: string;
  readonly tokens: number;
  readonly matrices: number;
  readonly short: readonly unknown[];
}): string {
  const { out, tokens, matrices, short } = report;
  const written = `Wrote ${basename(out)}: the inputs of ${formatWhole(matrices)} matrices over ${formatWhole(tokens)} tokens.`;
  if (short.length === 0) return written;
  return `${written} ${formatWhole(short.length)} of their groups saw fewer tokens than inputs: more text makes them reliable.`;
}

async function askOut(path: string): Promise<string | undefined> {
  const name = basename(path).replace(/\.safetensors\.index\.json$|\.[a-z0-9]+$/i, '');
  const uri = await vscode.window.showSaveDialog({
    title: 'Write the Activations',
    defaultUri: vscode.Uri.file(join(dirname(path), `${name}.activations.safetensors`)),
    filters: { Activations: ['activations.safetensors', 'safetensors'] },
  });
  return uri?.fsPath;
}
