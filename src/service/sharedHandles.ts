import { abortable } from './abortable.ts';

export interface HandleOptions<Value> {
  readonly close: (value: Value) => Promise<void>;
  /** The most unused values kept open; the least recently used is closed first. */
  readonly keep: number;
  /** How long an unused value is kept open. */
  readonly idleMs: number;
}

interface Held<Value> {
  readonly opening: Promise<Value>;
  /** Once it is open. */
  value?: Value;
  users: number;
  /** No longer given to new users; the last user closes it. */
  evicted: boolean;
  timer?: NodeJS.Timeout | undefined;
}

/** Handles that are costly to open: concurrent users share one, and it stays open for a while for the next user. */
export class SharedHandles<Value> {
  // Ordered by last use.
  private readonly held = new Map<string, Held<Value>>();
  private readonly closing = new Set<Promise<void>>();

  constructor(private readonly options: HandleOptions<Value>) {}

  /**
   * Runs `job` on the value of `key`, opened with `open` unless it is open. Concurrent callers wait for the same
   * opening; cancelling one of them does not affect the others.
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

  /** The next user of `key` opens it again. @param only unless another value than this has taken its place */
  evict(key: string, only?: Value): void {
    const held = this.held.get(key);
    if (!held || (only !== undefined && held.value !== only)) return;
    held.evicted = true;
    this.held.delete(key);
    if (held.users === 0) this.dispose(held);
  }

  /** Closes unused values now and the others once their users are done. */
  async close(): Promise<void> {
    for (const key of [...this.held.keys()]) this.evict(key);
    await Promise.all(this.closing);
  }

  private async opened(key: string, held: Held<Value>): Promise<Value> {
    try {
      held.value = await held.opening;
      return held.value;
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
