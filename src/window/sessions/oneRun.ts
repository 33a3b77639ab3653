/** Work of which at most one run is under way, and which can be cancelled. */
export class OneRun {
  private running: { readonly abort: AbortController; readonly ended: Promise<void> } | undefined;

  get isRunning(): boolean {
    return this.running !== undefined;
  }

  /** Does the work, or goes on with what is under way; a run that was cancelled and has not ended yet is waited for. */
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

  /** Ends once the run has. */
  async cancel(): Promise<void> {
    this.running?.abort.abort();
    await this.running?.ended;
  }
}
