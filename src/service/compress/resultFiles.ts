import { mkdir, stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { RankscopeError } from '../../base/errors.ts';
import type { Checkpoint } from '../../checkpoint/checkpoint.ts';
import { attempt, isSameFile, refuseExisting } from '../../files/wholeFile.ts';
import type { CompressRequest } from '../../model/compression.ts';
import { isOwnResult } from './partialFolder.ts';

/** The files of a result, which are named after the first. */
export interface ResultFiles {
  readonly out: string;
  readonly plan: string;
  readonly report: string;
  readonly code: string | null;
  /** Whether `out` was written by the run that is continued, and may be replaced. */
  readonly isOwn: boolean;
  /** Files that are never replaced. */
  readonly sources: readonly string[];
}

/** @throws RankscopeError 'wrong-use' for a request out of range, naming the first such option */
export function checkCompression({ keep, minutes, steps, rate, seed, tokens, from }: CompressRequest): void {
  const refuse = (option: string, value: number, expected: string): never => {
    throw new RankscopeError('wrong-use', option, `${value}`, `Give ${expected}`);
  };
  if (!(keep > 0 && keep < 1)) refuse('keep', keep, 'a share between 0 and 1');
  if (minutes !== undefined && !(minutes > 0)) refuse('minutes', minutes, 'a number above 0');
  if (steps !== undefined && !(Number.isSafeInteger(steps) && steps >= 1 && steps <= 100_000))
    refuse('steps', steps, 'a whole number from 1 to 100,000');
  if (rate !== undefined && !(rate > 0 && rate <= 1)) refuse('rate', rate, 'a number above 0, up to 1');
  if (seed !== undefined && !Number.isSafeInteger(seed)) refuse('seed', seed, 'a whole number');
  if (tokens !== undefined && !(Number.isSafeInteger(tokens) && tokens >= 2))
    refuse('tokens', tokens, 'a whole number of at least 2');
  if (from && !from.sensitivities?.matrices.some(({ divergence }) => divergence !== undefined))
    throw new RankscopeError(
      'wrong-use',
      'from',
      'no losses were measured for this plan',
      'Name a plan with the spread by loss, or leave it out',
    );
}

/**
 * Names the files of the result, and checks before any work is done that they may be written.
 * @throws RankscopeError 'wrong-use' for a file that exists, or that is read, or a folder of its name
 */
export async function resultFiles(request: CompressRequest, { files }: Checkpoint): Promise<ResultFiles> {
  const { out, code = null, overwrite = false, text, ids, evaluate } = request;
  const stem = out.replace(/\.safetensors$/i, '');
  const [plan, report] = [`${stem}.plan.json`, `${stem}.compression.json`];
  const sources = [...files.map(({ path }) => path), ...[text, ids, evaluate].filter((file) => file !== undefined)];
  const targets = [out, plan, report, ...(code === null ? [] : [code])];
  if (new Set(targets.map((file) => resolve(file))).size < targets.length)
    throw new RankscopeError('wrong-use', code ?? out, 'two results would be one file', 'Choose another name');
  for (const target of targets)
    for (const source of sources)
      if (resolve(source) === resolve(target) || (await isSameFile(source, target)))
        throw new RankscopeError(
          'wrong-use',
          target,
          'this is a file that is read',
          'Choose another name for the result',
        );
  for (const target of targets)
    if (
      await stat(target).then(
        (found) => found.isDirectory(),
        () => false,
      )
    )
      throw new RankscopeError('wrong-use', target, 'a folder has this name', 'Name a file inside it');
  const isOwn = await isOwnResult(out);
  if (!overwrite && !isOwn) for (const target of targets) await refuseExisting(target);
  return { out, plan, report, code, isOwn, sources };
}

/** @throws RankscopeError 'write-failed' */
export async function makeFolders({ out, code }: ResultFiles): Promise<void> {
  for (const target of [out, code])
    if (target !== null) await attempt(target, () => mkdir(dirname(target), { recursive: true }));
}
