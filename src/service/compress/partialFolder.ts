import { mkdir, readdir, readFile, rm, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { RankscopeError } from '../../base/errors.ts';
import { type Fingerprint, firstDifference, isOccupied, STATE, stateIn, writeState } from '../../files/unfinished.ts';
import { attempt, writeWhole } from '../../files/wholeFile.ts';
import type { CompressionSchedule } from '../../model/compression.ts';
import { parsePlan } from '../../model/plan/parsePlan.ts';
import type { Plan } from '../../model/plan/plan.ts';
import { type FinishedBlock, readBlockFile, writeBlockFile } from './blockFile.ts';

const FORMAT = 'rankscope.compression-state/1';
const FILES = { plan: 'plan.json', sampled: 'sampled.json', written: 'written.json' } as const;

/**
 * What a compression has finished, beside its result until that is complete: the plan with what was measured for it,
 * the text if the network wrote it, and the factors and norms of each block. Every file is written whole or not at all,
 * so that a crash loses one block at most. Residual streams are not kept: passing the finished blocks again takes a
 * small part of the time that they took.
 */
export class PartialFolder {
  private constructor(
    readonly path: string,
    /** What was found wrong with an earlier state, one sentence each. */
    readonly notes: readonly string[],
  ) {}

  /**
   * Goes on with the state of an earlier run, or begins a new one.
   * @throws RankscopeError 'wrong-use' for the state of another compression, unless `overwrite`; 'write-failed'
   */
  static async open(out: string, fingerprint: Fingerprint, overwrite: boolean): Promise<PartialFolder> {
    const path = partialPath(out);
    const notes: string[] = [];
    const found = await stateIn(path, FORMAT);
    const difference = found && differenceOf(found, fingerprint);
    if (difference !== undefined) {
      if (!overwrite)
        throw new RankscopeError(
          'wrong-use',
          path,
          `it holds an unfinished compression with ${difference}`,
          'Finish that one with its own options, delete the folder, or allow overwriting',
        );
      await attempt(path, () => rm(path, { recursive: true }));
      notes.push(`An unfinished compression with ${difference} was discarded.`);
    }
    if (!found && (await isOccupied(path, isLeft)))
      throw new RankscopeError(
        'wrong-use',
        path,
        'it is not the state of a compression, or a damaged one',
        'Delete it, or choose another name for the result',
      );
    await attempt(path, () => mkdir(path, { recursive: true }));
    const folder = new PartialFolder(path, notes);
    if (!found || difference !== undefined) await writeState(path, FORMAT, fingerprint);
    return folder;
  }

  /** The plan of an earlier run, with its schedule; undefined if it is missing or damaged. */
  async plan(): Promise<{ readonly plan: Plan; readonly schedule: CompressionSchedule } | undefined> {
    const found = (await this.readJson(FILES.plan)) as { plan?: unknown; schedule?: CompressionSchedule } | undefined;
    if (!found?.schedule) return undefined;
    try {
      const plan = parsePlan(JSON.stringify(found.plan), join(this.path, FILES.plan));
      return { plan, schedule: found.schedule };
    } catch {
      return undefined;
    }
  }

  /** Begins the blocks anew, and returns the plan as another run will read it. */
  async savePlan(plan: Plan, schedule: CompressionSchedule): Promise<Plan> {
    for (const file of await readdir(this.path))
      if (isBlock(file)) await attempt(this.path, () => rm(join(this.path, file)));
    await this.writeJson(FILES.plan, { plan, schedule });
    return parsePlan(JSON.stringify(plan), join(this.path, FILES.plan));
  }

  /** The ids of the text that the network wrote in an earlier run. */
  async sampled(): Promise<Int32Array | undefined> {
    const found = await this.readJson(FILES.sampled);
    return Array.isArray(found) && found.every(Number.isSafeInteger) ? Int32Array.from(found) : undefined;
  }

  saveSampled(ids: Int32Array): Promise<void> {
    return this.writeJson(FILES.sampled, [...ids]);
  }

  /** Notes that the result itself is written, so that the next run may replace it. */
  saveWritten(bytes: number): Promise<void> {
    return this.writeJson(FILES.written, bytes);
  }

  /** How many blocks, from the first on, are finished and whole. */
  async finishedBlocks(isWhole: (block: FinishedBlock) => boolean): Promise<number> {
    for (let count = 0; ; count++) {
      const block = await this.block(count);
      if (!block || block.report.layer !== count || !isWhole(block)) return count;
    }
  }

  /** Undefined for a block that is not finished, or whose file is damaged. */
  block(layer: number): Promise<FinishedBlock | undefined> {
    return readBlockFile(this.blockPath(layer));
  }

  saveBlock(block: FinishedBlock): Promise<void> {
    return writeBlockFile(this.blockPath(block.report.layer), block);
  }

  /** Where nothing is finished, nothing is kept. */
  async removeIfEmpty(): Promise<void> {
    const files = await readdir(this.path).catch(() => ['']);
    if (files.every((file) => file === STATE)) await this.remove();
  }

  /** The result is complete. */
  remove(): Promise<void> {
    return rm(this.path, { recursive: true, force: true }).catch(() => undefined);
  }

  private blockPath(layer: number): string {
    return join(this.path, `block-${layer + 1}.safetensors`);
  }

  private writeJson(file: string, value: unknown): Promise<void> {
    return writeWhole(join(this.path, file), { overwrite: true }, (append) => append(JSON.stringify(value)));
  }

  private readJson(file: string): Promise<unknown> {
    return readFile(join(this.path, file), 'utf8')
      .then((text) => JSON.parse(text) as unknown)
      .catch(() => undefined);
  }
}

function partialPath(out: string): string {
  return `${out}.rankscope-partial`;
}

const isBlock = (file: string) => /^block-\d+\.safetensors$/.test(file);

/** Whether `out` is the result of a run that was stopped behind writing it. */
export async function isOwnResult(out: string): Promise<boolean> {
  const bytes = await readFile(join(partialPath(out), FILES.written), 'utf8').catch(() => undefined);
  const found = bytes === undefined ? undefined : await stat(out).catch(() => undefined);
  return found?.size === Number(bytes);
}

const isLeft = (file: string) => file.startsWith(`.${STATE}.`) && file.endsWith('.partial');

/** The first difference, in words: `keep 0.8, not 0.7`. */
function differenceOf(found: Fingerprint, wanted: Fingerprint): string | undefined {
  const key = firstDifference(found, wanted);
  return key === undefined ? undefined : `${key} ${shown(found[key])}, not ${shown(wanted[key])}`;
}

function shown(value: Fingerprint[string] | undefined): string {
  if (value === undefined || value === null) return 'none';
  return typeof value === 'string' && value.length > 40 ? `${basename(value).slice(0, 12)}…` : String(value);
}
