import { readFile, stat } from 'node:fs/promises';
import { dirname, join, parse, resolve } from 'node:path';
import { RankscopeError } from '../../base/errors.ts';
import { baseName } from '../../base/paths.ts';
import { MAX_PLAN_SIZE, parsePlan } from '../../model/plan/parsePlan.ts';
import type { Plan } from '../../model/plan/plan.ts';

const ENDING = '.safetensors';

/** The default target of a factorized checkpoint: beside its source, under a name of its own. */
export function suggestedTarget(source: string): string {
  const { dir, name } = parse(source.replace(/\.safetensors\.index\.json$/i, ENDING));
  return join(dir, `${name}.lowrank${ENDING}`);
}

/** The Python file of a factorized checkpoint; its name is a valid module name. */
export function codePathOf(target: string): string {
  const { dir, name } = parse(target);
  const module = name.replace(/\W+/g, '_').replace(/^(?=\d)/, '_');
  return join(dir, `${module}.py`);
}

/** The default file of a plan. VS Code validates files with this ending against the schema of plans. */
export function suggestedPlanFile(source: string): string {
  const { dir, name } = parse(source);
  return join(dir, `${name}.rankplan.json`);
}

/** @throws RankscopeError if the file cannot be read, or is no plan. */
export async function readPlan(file: string): Promise<Plan> {
  try {
    const { size } = await stat(file);
    if (size > MAX_PLAN_SIZE)
      throw new RankscopeError('too-large', file, `${size} bytes`, `A plan has at most ${MAX_PLAN_SIZE}`);
    return parsePlan(await readFile(file, 'utf8'), file);
  } catch (error) {
    if (error instanceof RankscopeError) throw error;
    throw new RankscopeError('unreadable', file, (error as Error).message, 'Choose a file that can be read');
  }
}

/**
 * Where the checkpoint of a plan may be: under its path, which the command line may have been given from a folder of
 * the workspace or the folder of the plan, and beside the plan.
 */
export function placesOf({ checkpoint: { path } }: Plan, file: string, folders: readonly string[]): string[] {
  const beside = dirname(file);
  return [...new Set([...[...folders, beside].map((folder) => resolve(folder, path)), join(beside, baseName(path))])];
}

/** The default name of a script for transformers. */
export function suggestedScript(source: string, kind: 'evaluate' | 'calibrate' | 'compress'): string {
  const { dir, name } = parse(source.replace(/\.safetensors\.index\.json$/i, ENDING));
  return join(dir, `${name}.${kind}.py`);
}
