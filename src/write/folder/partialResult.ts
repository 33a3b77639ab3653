import { appendFile, mkdir, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { RankscopeError } from '../../base/errors.ts';
import { type Fingerprint, firstDifference, isOccupied, stateIn, writeState } from '../../files/unfinished.ts';
import { attempt } from '../../files/wholeFile.ts';
import type { WrittenGroup } from './shardFile.ts';

const FORMAT = 'rankscope.folder-state/1';
const FILES = { journal: 'journal.jsonl', result: 'result' } as const;

/**
 * The folder beside a result in which it grows, until it gets its name as a whole. A journal has a line for each group
 * of tensors that was written, so that a run that was stopped loses one matrix at most.
 */
export class PartialResult {
  private constructor(
    private readonly folder: string,
    private readonly out: string,
    private readonly written: ReadonlyMap<string, ReadonlyMap<string, WrittenGroup>>,
  ) {}

  /**
   * Goes on with an earlier run of the same work, or begins anew.
   * @throws RankscopeError 'wrong-use' for another unfinished result, unless `overwrite`; 'write-failed'
   */
  static async open(path: string, fingerprint: Fingerprint, overwrite: boolean): Promise<PartialResult> {
    const out = resolve(path);
    const folder = `${out}.rankscope-partial`;
    const found = await stateIn(folder, FORMAT);
    const difference = found && firstDifference(found, fingerprint);
    if (difference !== undefined && !overwrite)
      throw new RankscopeError(
        'wrong-use',
        folder,
        `it holds an unfinished result of other work (another ${difference})`,
        'Finish that one with its own options, delete the folder, or allow overwriting',
      );
    if (!found && !overwrite && (await isOccupied(folder, isLeft)))
      throw new RankscopeError(
        'wrong-use',
        folder,
        'it is no unfinished result, or a damaged one',
        'Delete it, or choose another name for the result',
      );
    const goesOn = found !== undefined && difference === undefined;
    if (!goesOn) {
      await attempt(folder, () => rm(folder, { recursive: true, force: true }));
      // With 'recursive', Node says of a disk that is read-only that there is no such folder.
      await attempt(folder, () => mkdir(folder));
      await writeState(folder, FORMAT, fingerprint);
    }
    await attempt(folder, () => mkdir(join(folder, FILES.result), { recursive: true }));
    return new PartialResult(folder, out, await journalIn(join(folder, FILES.journal)));
  }

  /** Where a file of the result is until that is complete. */
  path(file: string): string {
    return join(this.folder, FILES.result, file);
  }

  /** What an earlier run wrote of a shard, by the names of groups. */
  earlier(shard: string): ReadonlyMap<string, WrittenGroup> {
    return this.written.get(shard) ?? new Map();
  }

  async record(group: WrittenGroup): Promise<void> {
    await attempt(this.folder, () => appendFile(join(this.folder, FILES.journal), `${JSON.stringify(group)}\n`));
  }

  /** Removes files of an earlier run that are not part of the result. */
  async keepOnly(files: ReadonlySet<string>): Promise<void> {
    const folder = join(this.folder, FILES.result);
    for (const name of await readdir(folder))
      if (!files.has(name)) await attempt(folder, () => rm(join(folder, name), { recursive: true }));
  }

  /** Gives the result its name, in place of an earlier one if that may be replaced. */
  async finish(replaces: boolean): Promise<void> {
    const old = `${this.out}.rankscope-replaced`;
    if (replaces) {
      await attempt(old, () => rm(old, { recursive: true, force: true }));
      await attempt(this.out, () => rename(this.out, old));
    }
    await attempt(this.out, () => rename(join(this.folder, FILES.result), this.out));
    await rm(this.folder, { recursive: true, force: true });
    if (replaces) await rm(old, { recursive: true, force: true });
  }

  /** Leaves nothing behind where nothing was written. */
  async removeIfEmpty(): Promise<void> {
    const journal = await stat(join(this.folder, FILES.journal)).catch(() => undefined);
    if (!journal) await rm(this.folder, { recursive: true, force: true });
  }
}

const isLeft = (file: string) => file === FILES.result || file.endsWith('.partial');

/** The last line of each group counts; one that was cut off counts for nothing. */
async function journalIn(path: string): Promise<Map<string, Map<string, WrittenGroup>>> {
  const found = new Map<string, Map<string, WrittenGroup>>();
  const text = await readFile(path, 'utf8').catch(() => '');
  for (const line of text.split('\n')) {
    const written = parsed(line);
    if (!written) continue;
    const shard = found.get(written.shard) ?? new Map<string, WrittenGroup>();
    found.set(written.shard, shard.set(written.group, written));
  }
  return found;
}

function parsed(line: string): WrittenGroup | undefined {
  try {
    const written = JSON.parse(line) as Partial<WrittenGroup> | null;
    const isWhole = [written?.shard, written?.group, written?.sha256].every((text) => typeof text === 'string');
    return isWhole && typeof written?.errors === 'object' ? (written as WrittenGroup) : undefined;
  } catch {
    return undefined;
  }
}
