import { existsSync } from 'node:fs';
import { basename } from 'node:path';
import * as vscode from 'vscode';
import { formatEstimate } from '../../base/quantities.ts';
import type { Compression, CompressionTask } from '../../window/compression/compressions.ts';
import { estimateText } from '../../window/compression/estimateText.ts';
import { codePathOf, suggestedTarget } from '../../window/plan/planFiles.ts';
import { textFileOf } from '../../window/textFile.ts';
import { pickText, rememberText } from '../evaluation/pickText.ts';
import { cancellable } from '../pages/progress.ts';
import { mayReplace, requireTrust } from '../pages/save.ts';
import { engineRequest, isSmokeTestWanted } from '../settings.ts';
import type { Workbench } from '../workbench.ts';
import { compressionPanels } from './compressionPanel.ts';

/** What the command is told; it asks for what is left out, and unless `confirmed`, whether it shall begin. */
export interface CompressTarget {
  readonly keep?: number;
  readonly text?: string;
  readonly out?: string;
  readonly confirmed?: boolean;
  readonly options?: Pick<CompressionTask, 'refine' | 'minutes' | 'tokens' | 'context' | 'steps' | 'evaluate'>;
}

/**
 * "Compress to ... with the Smallest Loss": asks for a size, a text and a target, says what it will take, and opens the
 * page, on which it can be watched. Returns the report; undefined if the user cancels or it fails.
 */
export async function compress(
  workbench: Workbench,
  path: string,
  target: CompressTarget = {},
): ReturnType<Compression['start']> {
  requireTrust();
  const compression = workbench.compressions.get(path);
  if (compression.isRunning) {
    compressionPanels.reveal(workbench, path);
    return undefined;
  }
  const keep = target.keep ?? (await askKeep(workbench, path));
  if (keep === undefined) return undefined;
  const text = target.text ?? (await pickText(workbench, 'calibration', true));
  if (text === undefined) return undefined;
  if (target.text !== undefined) await rememberText(workbench.context, 'calibration', text);
  const out = target.out ?? (await askTarget(path))?.fsPath;
  if (out === undefined) return undefined;
  const code = codePathOf(out);
  const stem = out.replace(/\.safetensors$/i, '');
  const existing = [out, code, `${stem}.plan.json`, `${stem}.compression.json`].filter((file) => existsSync(file));
  if (existing.length > 0 && !(await mayReplace(existing))) return undefined;
  const task: CompressionTask = {
    ...{ keep, out, code, overwrite: existing.length > 0, smokeTest: isSmokeTestWanted() },
    ...(await textFileOf(text)),
    ...target.options,
  };
  const agreed = target.confirmed ? task : await confirmed(workbench, path, task);
  if (!agreed) return undefined;
  compressionPanels.reveal(workbench, path);
  const report = await compression.start(agreed);
  if (report?.smokeTest !== undefined) workbench.store.get(report.out).setSmokeTest(report.smokeTest);
  return report;
}

/** The share to keep, which is remembered; undefined if the user cancels. */
export async function askKeep({ context }: Pick<Workbench, 'context'>, path: string): Promise<number | undefined> {
  const key = 'compression:keep';
  const text = await vscode.window.showInputBox({
    title: `Compress ${basename(path)} to …`,
    prompt: 'Percent of the parameters to keep, of the matrices in its blocks. Embedding and head stay as they are.',
    value: String(context.workspaceState.get<number>(key) ?? 80),
    validateInput: (value) => (percentIn(value) === undefined ? 'Enter a number between 0 and 100, such as 80' : null),
  });
  const percent = text === undefined ? undefined : percentIn(text);
  if (percent === undefined) return undefined;
  await context.workspaceState.update(key, percent);
  return percent / 100;
}

function percentIn(text: string): number | undefined {
  const value = Number(text.replace('%', '').replace(',', '.').trim() || Number.NaN);
  return value > 0 && value < 100 ? value : undefined;
}

async function askTarget(path: string): Promise<vscode.Uri | undefined> {
  return vscode.window.showSaveDialog({
    title: 'Write the Compressed Checkpoint',
    defaultUri: vscode.Uri.file(suggestedTarget(path)),
    filters: { safetensors: ['safetensors'] },
  });
}

/** Says what it will take, and asks whether it shall begin. */
async function confirmed(
  workbench: Workbench,
  path: string,
  task: CompressionTask,
): Promise<CompressionTask | undefined> {
  const estimate = await cancellable(`Estimating the compression of ${basename(path)}`, ({ signal }) =>
    workbench.engine.service.estimateCompression({ path, ...task, ...engineRequest() }, { signal }),
  );
  const [begin, unrefined] = ['Compress', 'Without Refinement'];
  const picked = await vscode.window.showInformationMessage(
    `Compress ${basename(path)} to ${Number((100 * task.keep).toPrecision(4))} %? It takes about ${formatEstimate(estimate.secondsTotal)}.`,
    { modal: true, detail: estimateText(estimate) },
    begin,
    ...(estimate.schedule.steps > 0 ? [unrefined] : []),
  );
  return picked === begin ? task : picked === unrefined ? { ...task, refine: false } : undefined;
}
