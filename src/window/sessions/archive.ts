import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { yieldEvery } from '../../base/eventLoop.ts';
import { writeWholeIn } from '../../files/wholeFile.ts';
import type { MatrixFinding, Skipped } from '../../model/findings.ts';
import { Assembly, cutUp, type Fragment } from '../../protocol/fragments.ts';
import type { CheckpointView } from '../../protocol/service.ts';
import type { Session } from './session.ts';

/** Raised when the format of the files changes; files of another version are ignored. */
const VERSION = 3;

/** More findings than these are slower to read from here than from the engine's cache. */
const LIMIT = 10_000;
/** How long reading a file may hold the extension host at a time. */
const SLICE_MS = 4;

/** The first line of a file; every other line is a fragment of the findings. */
interface Head {
  readonly version: number;
  readonly identity: string;
}

interface Archived {
  readonly view: CheckpointView;
  readonly findings: readonly MatrixFinding[];
  readonly skipped: readonly Skipped[];
}

/**
 * Keeps the findings of finished analyses in `folder`, so that a new window shows ranks in code and in the tree before
 * a checkpoint is opened. Findings are restored only if the file has not changed since. Failures are logged and have no
 * other effect.
 */
export class Archive {
  constructor(
    private readonly folder: string,
    private readonly log: (line: string) => void,
  ) {}

  async keep(session: Session): Promise<void> {
    const { checkpoint: view, findings, skipped } = session.snapshot();
    if (!view || findings.length > LIMIT) return;
    try {
      const head: Head = { version: VERSION, identity: await identity(session.path) };
      const archived: Archived = { view, findings, skipped };
      await writeWholeIn(this.fileOf(session.path), { overwrite: true }, async (append) => {
        await append(`${JSON.stringify(head)}\n`);
        for (const fragment of cutUp(archived)) await append(`${JSON.stringify(fragment)}\n`);
      });
    } catch (error) {
      this.log(`Findings of ${session.path} were not kept: ${error}`);
    }
  }

  /** Restores the findings of an earlier window; false if there are none for the file in its present state. */
  async restore(session: Session): Promise<boolean> {
    try {
      const expected: Head = { version: VERSION, identity: await identity(session.path) };
      const archived = (await readLines(this.fileOf(session.path), expected)) as Archived | undefined;
      if (archived) session.restore(archived.view, archived.findings, archived.skipped);
      return archived !== undefined;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') this.log(`No findings for ${session.path}: ${error}`);
      return false;
    }
  }

  async clear(): Promise<void> {
    await rm(this.folder, { recursive: true, force: true });
  }

  private fileOf(checkpoint: string): string {
    return join(this.folder, `${createHash('sha256').update(checkpoint).digest('hex').slice(0, 32)}.jsonl`);
  }
}

/** The value whose fragments are in `file`; undefined if the file's head is not the expected one. */
async function readLines(file: string, expected: Head): Promise<unknown> {
  const assembly = new Assembly();
  const pause = yieldEvery(SLICE_MS);
  let isHead = true;
  for await (const line of createInterface(createReadStream(file))) {
    if (isHead && line !== JSON.stringify(expected)) return undefined;
    if (!isHead) assembly.add(JSON.parse(line) as Fragment);
    isHead = false;
    await pause();
  }
  return assembly.value;
}

/**
 * The same as long as the file was not written. Folders and indices have no identity: the files they name may have
 * changed.
 */
async function identity(file: string): Promise<string> {
  const found = await stat(file);
  if (!found.isFile() || file.endsWith('.json')) throw new Error('not a single file');
  return `${found.size} ${found.mtimeMs}`;
}
