import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, open, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { takeTurns } from '../../base/turns.ts';
import type { MatrixFinding, Skipped } from '../../model/findings.ts';
import { Assembly, cutUp, type Fragment } from '../../protocol/fragments.ts';
import type { CheckpointView } from '../../protocol/service.ts';
import type { Session } from './session.ts';

/** Raised whenever what is kept changes: older files are then not looked at. */
const VERSION = 2;

/** What is larger is slower to read back than to take from the engine's cache. */
const LIMIT = 10_000;
/** The extension host is not held up longer than this at a time by what is read or written here. */
const SLICE_MS = 4;

/** The first line of a file; each line below it is a fragment of the findings. */
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
 * Keeps the findings of finished analyses in `folder`, so that code and the tree show ranks in a new window before anything is
 * opened. Only what belongs to a file that has not changed since comes back. Nothing here is needed: faults are `log`ged.
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
      const file = this.fileOf(session.path);
      await mkdir(this.folder, { recursive: true });
      await writeLines(`${file}.${process.pid}`, head, cutUp(archived));
      await rename(`${file}.${process.pid}`, file);
    } catch (error) {
      this.log(`Findings of ${session.path} were not kept: ${error}`);
    }
  }

  /** Gives `session` the findings of an earlier window; false where there are none for the file as it is now. */
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

async function writeLines(file: string, head: Head, fragments: Iterable<Fragment>): Promise<void> {
  const handle = await open(file, 'w');
  try {
    await handle.write(`${JSON.stringify(head)}\n`);
    for (const fragment of fragments) await handle.write(`${JSON.stringify(fragment)}\n`);
  } finally {
    await handle.close();
  }
}

/** What the fragments in `file` make together; undefined where its head is another one. */
async function readLines(file: string, expected: Head): Promise<unknown> {
  const assembly = new Assembly();
  const turn = takeTurns(SLICE_MS);
  let isHead = true;
  for await (const line of createInterface(createReadStream(file))) {
    if (isHead && line !== JSON.stringify(expected)) return undefined;
    if (!isHead) assembly.add(JSON.parse(line) as Fragment);
    isHead = false;
    await turn();
  }
  return assembly.value;
}

/** Equal as long as the file was not written. Of a folder or an index it cannot be told: what it names may have changed. */
async function identity(file: string): Promise<string> {
  const found = await stat(file);
  if (!found.isFile() || file.endsWith('.json')) throw new Error('it is not a single file');
  return `${found.size} ${found.mtimeMs}`;
}
