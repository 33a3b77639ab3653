import * as vscode from 'vscode';
import { baseName } from '../../base/paths.ts';
import { breakEvenRank } from '../../base/shape.ts';
import type { Session } from '../../window/sessions/session.ts';
import type { Workbench } from '../workbench.ts';

/** Which matrices get which rank; the command asks for what is left out. */
export interface RankTarget {
  readonly path?: string;
  readonly names?: readonly string[];
  /** null keeps the matrices dense. */
  readonly rank?: number | null;
}

/** Overrides the rank plan for one matrix, or for the same module in all layers. */
export async function setRank(workbench: Workbench, target: RankTarget = {}): Promise<void> {
  const session = target.path === undefined ? await askSession(workbench) : workbench.store.get(target.path);
  if (!session) return;
  const names = target.names ?? (await askNames(session));
  if (!names?.length) return;
  const rank = target.rank === undefined ? await askRank(session, names) : target.rank;
  if (rank === 'clear') workbench.desk.clearRank(session.path, names);
  else if (rank !== undefined) workbench.desk.setRank(session.path, names, rank);
}

export async function askSession({ store }: Workbench): Promise<Session | undefined> {
  const known = store.known();
  if (known.length < 2) return known[0];
  const picked = await vscode.window.showQuickPick(
    known.map((session) => ({ label: baseName(session.path), description: session.path, session })),
    { placeHolder: 'Choose a checkpoint' },
  );
  return picked?.session;
}

async function askNames(session: Session): Promise<readonly string[] | undefined> {
  const matrices = session.view?.matrices ?? [];
  const picked = await vscode.window.showQuickPick(
    matrices.map(({ name, shape }) => ({ label: name, description: shape.join(' x ') })),
    { placeHolder: 'Choose the matrices whose rank to set', canPickMany: true, matchOnDescription: true },
  );
  return picked?.map(({ label }) => label);
}

/** `clear` leaves the rank to the plan again; undefined when the user cancels. */
async function askRank(session: Session, names: readonly string[]): Promise<number | 'clear' | undefined> {
  const chosen = new Set(names);
  const sizes = (session.view?.matrices ?? []).filter(({ name }) => chosen.has(name)).map(({ shape }) => shape);
  const largest = Math.min(...sizes.map(([rows, cols]) => Math.min(rows, cols)));
  const breakEven = Math.min(...sizes.map(([rows, cols]) => breakEvenRank(rows, cols)));
  const text = await vscode.window.showInputBox({
    title: names.length === 1 ? names[0]! : `${names.length} matrices`,
    prompt: `Rank, 1 to ${largest}. It saves parameters up to the break-even rank ${breakEven}. Leave empty to let the plan choose.`,
    value: String(session.ranks[names[0]!] ?? ''),
    validateInput: (value) =>
      value.trim() === '' || (/^\d+$/.test(value.trim()) && Number(value) >= 1 && Number(value) <= largest)
        ? null
        : `Enter a whole number from 1 to ${largest}`,
  });
  if (text === undefined) return undefined;
  return text.trim() === '' ? 'clear' : Number(text);
}
