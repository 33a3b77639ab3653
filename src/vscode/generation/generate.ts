import { basename } from 'node:path';
import * as vscode from 'vscode';
import type { Service } from '../../protocol/service.ts';
import { type Beside, isChosen, promptRequest } from '../../window/generation/promptRequest.ts';
import { openInspector } from '../commands/analyze.ts';
import { cancellable } from '../pages/progress.ts';
import { engineRequest } from '../settings.ts';
import type { Workbench } from '../workbench.ts';

/** What the command is told; it asks for what is left out. */
export interface GenerateTarget extends Beside {
  readonly prompt?: string;
  /** The most tokens to add. */
  readonly tokens?: number;
}

/**
 * "Continue a Prompt": asks for a prompt and for what continues it beside the dense model, and shows both texts in the
 * inspector of the model, or of the checkpoint beside it. Returns them; undefined if the user cancels.
 */
export async function generate(
  workbench: Workbench,
  path: string,
  target: GenerateTarget = {},
): Promise<Awaited<ReturnType<Service['generate']>> | undefined> {
  const prompt = target.prompt ?? (await askPrompt(workbench, path));
  if (prompt === undefined) return undefined;
  const beside = isChosen(target) ? target : await askBeside(workbench, path);
  if (!beside) return undefined;
  const { engine, desk, store } = workbench;
  const request = await promptRequest({ path, prompt, beside, tokens: target.tokens }, desk, engineRequest());
  const generation = await cancellable(`Continuing a prompt with ${basename(path)}`, (context) =>
    engine.service.generate(request, context),
  );
  const shown = beside.file ?? path;
  await openInspector(vscode.Uri.file(shown));
  store.get(shown).setSmokeTest({ generation, isAsked: true });
  return generation;
}

/** The begin of a text, which is remembered. */
async function askPrompt({ context }: Workbench, path: string): Promise<string | undefined> {
  const key = 'generation:prompt';
  const prompt = await vscode.window.showInputBox({
    title: `Continue a Prompt with ${basename(path)}`,
    prompt: 'The begin of a text. Each token that follows is the most likely one.',
    value: context.workspaceState.get<string>(key) ?? 'Once upon a time',
    validateInput: (value) => (value === '' ? 'Enter the begin of a text' : null),
  });
  if (prompt !== undefined) await context.workspaceState.update(key, prompt);
  return prompt;
}

async function askBeside({ desk }: Workbench, path: string): Promise<Beside | undefined> {
  const picked = await vscode.window.showQuickPick(
    [
      ...(desk.snapshot().current === path ? [{ id: 'plan', label: 'The rank plan of the side bar' } as const] : []),
      { id: 'planFile', label: 'A rank plan from a file…' } as const,
      { id: 'file', label: 'A factorized checkpoint…', description: 'as Apply writes it' } as const,
      { id: 'alone', label: 'Nothing', description: 'the dense model alone' } as const,
    ],
    { title: 'Beside the Dense Model', placeHolder: 'What continues the prompt as well' },
  );
  if (picked?.id === 'plan' || picked?.id === 'alone') return { [picked.id]: true };
  if (!picked) return undefined;
  const isPlan = picked.id === 'planFile';
  const chosen = await vscode.window.showOpenDialog({
    title: isPlan ? 'Choose a Rank Plan' : 'Choose a Factorized Checkpoint',
    openLabel: 'Choose',
    filters: { ...(isPlan ? { 'Rank plans': ['json'] } : { Checkpoints: ['safetensors'] }), 'All files': ['*'] },
  });
  return chosen?.[0] && { [picked.id]: chosen[0].fsPath };
}
