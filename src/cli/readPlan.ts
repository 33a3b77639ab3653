import { readFile, stat } from 'node:fs/promises';
import { RankscopeError } from '../base/errors.ts';
import { MAX_PLAN_SIZE, parsePlan } from '../model/plan/parsePlan.ts';
import type { Plan } from '../model/plan/plan.ts';

/** Reads a plan that a person named. */
export async function readPlan(file: string): Promise<Plan> {
  let text: string;
  try {
    const found = await stat(file);
    // Reading a pipe might never end.
    if (!found.isFile()) throw new Error('it is not a file');
    if (found.size > MAX_PLAN_SIZE) throw new Error(`it has more than ${MAX_PLAN_SIZE} bytes`);
    text = await readFile(file, 'utf8');
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code === 'ENOENT';
    throw new RankscopeError(
      missing ? 'not-found' : 'unreadable',
      file,
      missing ? 'there is no such file' : (error as Error).message,
      'Make a plan with: rankscope plan PATH --keep 0.5 --out plan.json',
    );
  }
  return parsePlan(text, file);
}
