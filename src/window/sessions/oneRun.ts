/** Work that runs at most once at a time and can be cancelled. */
export class OneRun {
  private running: { readonly abort: AbortController; readonly ended: Promise<void> } | undefined;

  get isRunning(): boolean {
    return this.running !== undefined;
  }

  /** Starts `work`, or returns the current run; waits for a cancelled run to end first. */
  start(work: (signal: AbortSignal) => Promise<void>): Promise<void> {
    const before = this.running;
    if (before && !before.abort.signal.aborted) return before.ended;
    const abort = new AbortController();
    const ended = Promise.resolve(before?.ended)
      .then(() => work(abort.signal))
      .finally(() => {
        if (this.running?.abort === abort) this.running = undefined;
      });
    this.running = { abort, ended };
    return ended;
  }

  /** Resolves once the run has ended. */
  async cancel(): Promise<void> {
    this.running?.abort.abort();
    await this.running?.ended;
  }
}
