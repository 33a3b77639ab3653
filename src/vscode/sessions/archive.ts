import { createHash } from 'node:crypto';
import { mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { MatrixFinding, Skipped } from '../../model/findings.ts';
import type { RunState } from '../../protocol/page.ts';
import type { CheckpointView } from '../../protocol/service.ts';
import type { Session } from './session.ts';
import type { SessionStore } from './sessionStore.ts';

/** Raised whenever what is kept changes: older files are then not looked at. */
const VERSION = 1;

/** What is larger is slower to read back than to take from the engine's cache. */
const LIMIT = 10_000;

interface Archived {
  readonly version: number;
  readonly identity: string;
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
      const archived: Archived = { version: VERSION, identity: await identity(session.path), view, findings, skipped };
      const file = this.fileOf(session.path);
      await mkdir(this.folder, { recursive: true });
      await writeFile(`${file}.${process.pid}`, JSON.stringify(archived));
      await rename(`${file}.${process.pid}`, file);
    } catch (error) {
      this.log(`Findings of ${session.path} were not kept: ${error}`);
    }
  }

  /** Gives `session` the findings of an earlier window; false where there are none for the file as it is now. */
  async restore(session: Session): Promise<boolean> {
    try {
      const archived = JSON.parse(await readFile(this.fileOf(session.path), 'utf8')) as Archived;
      if (archived.version !== VERSION || archived.identity !== (await identity(session.path))) return false;
      session.restore(archived.view, archived.findings, archived.skipped);
      return true;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') this.log(`No findings for ${session.path}: ${error}`);
      return false;
    }
  }

  async clear(): Promise<void> {
    await rm(this.folder, { recursive: true, force: true });
  }

  private fileOf(checkpoint: string): string {
    return path.join(this.folder, `${createHash('sha256').update(checkpoint).digest('hex').slice(0, 32)}.json`);
  }
}

/** Keeps the findings of every session of `store` each time its run is done. */
export function keepFindings(store: SessionStore, archive: Archive, canWrite: () => boolean): void {
  const kept = new WeakMap<Session, RunState>();
  store.updates.on((session) => {
    const { run } = session;
    if (run.status !== 'done' || kept.get(session) === run || !canWrite()) return;
    kept.set(session, run);
    void archive.keep(session);
  });
}

/** Equal as long as the file was not written. Of a folder or an index it cannot be told: what it names may have changed. */
async function identity(file: string): Promise<string> {
  const found = await stat(file);
  if (!found.isFile() || file.endsWith('.json')) throw new Error('it is not a single file');
  return `${found.size} ${found.mtimeMs}`;
}
