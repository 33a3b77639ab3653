import { resolve } from 'node:path';
import type { AnalysisRun } from './analyze.ts';

/** The running analyses by checkpoint, so that they can be told which matrices the user is looking at. */
export class Runs {
  private readonly byPath = new Map<string, Set<AnalysisRun>>();

  async during<Result>(file: string, run: AnalysisRun, job: Promise<Result>): Promise<Result> {
    const key = resolve(file);
    const runs = this.byPath.get(key) ?? new Set();
    this.byPath.set(key, runs.add(run));
    try {
      return await job;
    } finally {
      runs.delete(run);
      if (runs.size === 0) this.byPath.delete(key);
    }
  }

  prioritize(file: string, names: readonly string[]): void {
    for (const run of this.byPath.get(resolve(file)) ?? []) run.prioritize(names);
  }
}
