import { basename } from 'node:path';
import * as vscode from 'vscode';
import { RankscopeError } from '../../base/errors.ts';
import type { MeasureRequest } from '../../window/evaluation/evaluations.ts';
import { planName } from '../../window/evaluation/planName.ts';
import { suggestedRanks } from '../../window/evaluation/suggestedRanks.ts';
import { readPlan } from '../../window/plan/planFiles.ts';
import { textFileOf } from '../../window/textFile.ts';
import { evaluationLimits } from '../settings.ts';
import type { Workbench } from '../workbench.ts';
import { evaluationPanels } from './evaluationPanel.ts';
import { pickText, rememberText } from './pickText.ts';

/** What to measure; the command asks for what is left out. */
export interface MeasureTarget {
  readonly text?: string;
  readonly ranks?: readonly number[];
  /** Whether the plan of the side bar is measured. */
  readonly plan?: boolean;
  readonly planFiles?: readonly string[];
  readonly files?: readonly string[];
}

/** "Measure Perplexity": asks for a text and for what to try on it, opens the page, and measures. */
export async function measure(workbench: Workbench, path: string, target: MeasureTarget = {}): Promise<void> {
  const request = await askMeasure(workbench, path, target);
  if (!request) return;
  evaluationPanels.reveal(workbench, path);
  await workbench.evaluations.get(path).measure(request);
}

/** What to measure, asking for what `target` leaves out; undefined if the user cancels. */
export async function askMeasure(
  workbench: Workbench,
  path: string,
  target: MeasureTarget,
): Promise<MeasureRequest | undefined> {
  const chosen = isChosen(target) ? target : await askTrials(workbench, path);
  if (!chosen) return undefined;
  const text = target.text ?? (await pickText(workbench, 'evaluation'));
  if (text === undefined) return undefined;
  if (target.text !== undefined) await rememberText(workbench.context, 'evaluation', text);
  return {
    ...(await textFileOf(text)),
    ranks: chosen.ranks ?? [],
    plans: [...(chosen.plan ? [await currentPlan(workbench)] : []), ...(await plansOf(chosen.planFiles ?? []))],
    files: chosen.files ?? [],
    ...evaluationLimits(),
  };
}

const isChosen = ({ ranks, plan, planFiles, files }: MeasureTarget): boolean =>
  ranks !== undefined || plan !== undefined || planFiles !== undefined || files !== undefined;

async function currentPlan({ desk }: Workbench): Promise<MeasureRequest['plans'][number]> {
  const plan = await desk.compute();
  return { name: planName(plan), plan };
}

function plansOf(files: readonly string[]): Promise<MeasureRequest['plans']> {
  return Promise.all(files.map(async (file) => ({ name: basename(file), plan: await readPlan(file) })));
}

/** Asks for what to try: ranks, the plan of the side bar, plans from files, factorized checkpoints. */
async function askTrials(workbench: Workbench, path: string): Promise<MeasureTarget | undefined> {
  const { desk } = workbench;
  const hasPlan = desk.snapshot().current === path;
  const items = [
    { id: 'ranks', label: 'Ranks…', description: 'the same rank for every matrix that a plan cuts', picked: true },
    ...(hasPlan ? [{ id: 'plan', label: 'The rank plan of the side bar' }] : []),
    { id: 'planFiles', label: 'Rank plans from files…' },
    { id: 'files', label: 'Factorized checkpoints…', description: 'as Apply writes them' },
  ];
  const picked = await vscode.window.showQuickPick(items, {
    title: `Measure the Perplexity of ${basename(path)}`,
    placeHolder: 'What to measure beside the dense model',
    canPickMany: true,
  });
  if (!picked) return undefined;
  const has = (id: string) => picked.some((item) => item.id === id);
  const ranks = has('ranks') ? await askRanks(workbench, path) : [];
  const planFiles = ranks && has('planFiles') ? await askFiles('Choose Rank Plans', 'Rank plans', ['json']) : [];
  const files =
    planFiles && has('files') ? await askFiles('Choose Factorized Checkpoints', 'Checkpoints', ['safetensors']) : [];
  return ranks && planFiles && files && { ranks, plan: has('plan'), planFiles, files };
}

async function askRanks({ context, store }: Workbench, path: string): Promise<readonly number[] | undefined> {
  const key = `evaluation:ranks:${path}`;
  const known = context.workspaceState.get<string>(key);
  const matrices = known === undefined ? (await store.get(path).open())?.matrices : undefined;
  const text = await vscode.window.showInputBox({
    title: 'Ranks to Measure',
    prompt: 'Whole numbers, separated by commas. They pass through the model together, in one reading of its weights.',
    value: known ?? suggestedRanks(matrices ?? []).join(', '),
    validateInput: (value) => (ranksIn(value) ? null : 'Enter whole numbers of at least 1, such as 16, 32, 64'),
  });
  if (text === undefined) return undefined;
  await context.workspaceState.update(key, text);
  return ranksIn(text);
}

/** The ranks in a list as people write it, each once; undefined if there is none or something else. */
function ranksIn(text: string): readonly number[] | undefined {
  const words = text.split(/[\s,;]+/).filter(Boolean);
  const isRank = (word: string) => /^\d{1,6}$/.test(word) && Number(word) >= 1;
  return words.length > 0 && words.every(isRank) ? [...new Set(words.map(Number))] : undefined;
}

async function askFiles(title: string, kind: string, endings: string[]): Promise<readonly string[] | undefined> {
  const picked = await vscode.window.showOpenDialog({
    title,
    openLabel: 'Measure',
    canSelectMany: true,
    filters: { [kind]: endings, 'All files': ['*'] },
  });
  return picked?.map(({ fsPath }) => fsPath);
}

/** Measures the plan of the side bar. */
export async function measurePlan(workbench: Workbench, target: Pick<MeasureTarget, 'text'> = {}): Promise<void> {
  const path = workbench.desk.snapshot().current;
  if (path === null) {
    throw new RankscopeError(
      'wrong-use',
      'rank plan',
      'no checkpoint is open',
      'Right-click a checkpoint file and choose Analyze Weight Ranks',
    );
  }
  await measure(workbench, path, { ...target, plan: true });
}
