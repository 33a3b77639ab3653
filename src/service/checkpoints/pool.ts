import { abortable } from '../abortable.ts';

export interface PoolOptions<Value> {
  readonly close: (value: Value) => Promise<void>;
  /** Unused values kept open at most; the one that was used last goes last. */
  readonly keep: number;
  /** An unused value is closed after so long. */
  readonly idleMs: number;
}

interface Held<Value> {
  readonly opening: Promise<Value>;
  users: number;
  /** No longer given out; closed by its last user. */
  evicted: boolean;
  timer?: NodeJS.Timeout | undefined;
}

/** Things that are costly to open, shared by all who use them at once and kept for a while for the next. */
export class Pool<Value> {
  // In the order of their last use.
  private readonly held = new Map<string, Held<Value>>();
  private readonly closing = new Set<Promise<void>>();

  constructor(private readonly options: PoolOptions<Value>) {}

  /**
   * Opens what `key` names where it is not open yet, and keeps it open while `job` runs. Others may wait for the same opening: a caller
   * that is cancelled leaves it to them.
   */
  async use<Result>(
    key: string,
    open: () => Promise<Value>,
    job: (value: Value) => Promise<Result>,
    signal?: AbortSignal,
  ): Promise<Result> {
    const held = this.held.get(key) ?? { opening: open(), users: 0, evicted: false };
    this.held.delete(key);
    this.held.set(key, held);
    clearTimeout(held.timer);
    held.users++;
    try {
      return await job(await abortable(key, signal, this.opened(key, held)));
    } finally {
      held.users--;
      this.tidy(key, held);
    }
  }

  /** The value of `key` if it is open. */
  async peek(key: string): Promise<Value | undefined> {
    return this.held.get(key)?.opening.catch(() => undefined);
  }

  /** Gives `key` out no more: its next user opens it anew. */
  evict(key: string): void {
    const held = this.held.get(key);
    if (!held) return;
    held.evicted = true;
    this.held.delete(key);
    if (held.users === 0) this.dispose(held);
  }

  /** Closes all that is unused, and the rest as soon as it is. */
  async close(): Promise<void> {
    for (const key of [...this.held.keys()]) this.evict(key);
    await Promise.all(this.closing);
  }

  private async opened(key: string, held: Held<Value>): Promise<Value> {
    try {
      return await held.opening;
    } catch (error) {
      if (this.held.get(key) === held) this.held.delete(key);
      throw error;
    }
  }

  private tidy(key: string, held: Held<Value>): void {
    if (held.users > 0) return;
    if (held.evicted) {
      this.dispose(held);
      return;
    }
    if (this.held.get(key) !== held) return;
    held.timer = setTimeout(() => this.evict(key), this.options.idleMs);
    held.timer.unref();
    const unused = [...this.held].filter(([, { users }]) => users === 0);
    for (const [oldest] of unused.slice(0, Math.max(0, unused.length - this.options.keep))) this.evict(oldest);
  }

  private dispose(held: Held<Value>): void {
    clearTimeout(held.timer);
    const closing = held.opening
      .then((value) => this.options.close(value))
      .catch(() => undefined)
      .finally(() => this.closing.delete(closing));
    this.closing.add(closing);
  }
}
