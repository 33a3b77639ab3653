import type { RunState } from '../../protocol/page.ts';
import { Emitter } from '../emitter.ts';
import type { Archive } from './archive.ts';
import type { Memory } from './memory.ts';
import { Session, type SessionHost } from './session.ts';

const RECENT_KEY = 'recentCheckpoints';
/** Recent checkpoints in the tree; more would only need scrolling. */
const RECENT_LIMIT = 20;

/** One session per checkpoint path, and the recently opened paths, latest first. */
export class SessionStore {
  /** The list of recent checkpoints changed. */
  readonly changes = new Emitter<void>();
  /** A session's state changed. */
  readonly updates = new Emitter<Session>();
  private readonly sessions = new Map<string, Session>();

  constructor(
    private readonly host: SessionHost,
    private readonly memory: Memory,
    private readonly archive: Pick<Archive, 'restore'>,
  ) {}

  /** The session of `path`, created on the first call. */
  get(path: string): Session {
    const known = this.sessions.get(path);
    if (known) return known;
    const session = new Session(path, this.host, this.memory);
    this.sessions.set(path, session);
    session.updates.on(() => this.updates.fire(session));
    session.resets.on(() => this.updates.fire(session));
    return session;
  }

  /** The session of `path` with its archived findings or, without any, with the checkpoint's directory. */
  async load(path: string): Promise<Session> {
    const session = this.get(path);
    if (!session.view && !(await this.archive.restore(session))) await session.open();
    return session;
  }

  /** The sessions whose directory has been read, latest opened first. */
  known(): Session[] {
    const order = this.recent();
    const place = (session: Session) => {
      const index = order.indexOf(session.path);
      return index < 0 ? order.length : index;
    };
    return [...this.sessions.values()].filter((session) => session.view).sort((a, b) => place(a) - place(b));
  }

  recent(): readonly string[] {
    return this.memory.get<string[]>(RECENT_KEY) ?? [];
  }

  /** Puts `path` first among the recent checkpoints. */
  async remember(path: string): Promise<void> {
    const others = this.recent().filter((other) => other !== path);
    await this.memory.update(RECENT_KEY, [path, ...others].slice(0, RECENT_LIMIT));
    this.changes.fire();
  }

  /** Forgets the checkpoint and its findings; the cache on disk keeps its numbers. */
  async forget(path: string): Promise<void> {
    const session = this.sessions.get(path);
    this.sessions.delete(path);
    await session?.cancel();
    await this.memory.update(
      RECENT_KEY,
      this.recent().filter((other) => other !== path),
    );
    this.changes.fire();
  }
}

/** Archives the findings of every session of `store` when a run of it is done. */
export function keepFindings(store: SessionStore, archive: Archive, canWrite: () => boolean): void {
  const kept = new WeakMap<Session, RunState>();
  store.updates.on((session) => {
    const { run } = session;
    if (run.status !== 'done' || kept.get(session) === run || !canWrite()) return;
    kept.set(session, run);
    void archive.keep(session);
  });
}
