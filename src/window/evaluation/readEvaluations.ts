import { readFile, stat } from 'node:fs/promises';
import { RankscopeError } from '../../base/errors.ts';
import type { Evaluation } from '../../model/evaluation.ts';
import { MAX_EVALUATION_SIZE, parseEvaluations } from '../../model/parseEvaluation.ts';

/** @throws RankscopeError if the file cannot be read, or is no evaluation. */
export async function readEvaluations(file: string): Promise<readonly [Evaluation, ...Evaluation[]]> {
  try {
    const { size } = await stat(file);
    if (size > MAX_EVALUATION_SIZE)
      throw new RankscopeError('too-large', file, `${size} bytes`, `An evaluation has at most ${MAX_EVALUATION_SIZE}`);
    return parseEvaluations(await readFile(file, 'utf8'), file);
  } catch (error) {
    if (error instanceof RankscopeError) throw error;
    throw new RankscopeError('unreadable', file, (error as Error).message, 'Choose a file that can be read');
  }
}
