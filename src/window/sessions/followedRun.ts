import { type ErrorData, errorData, RankscopeError } from '../../base/errors.ts';
import { IDLE, type RunState } from '../../protocol/page.ts';
import type { EvaluateProgress } from '../../protocol/service.ts';

/** Shortest time between two progress reports: a small matrix takes a millisecond. */
const REPORT_MS = 100;

/** What the snapshot of a page with one run says of it. */
interface RunPart {
  readonly run: RunState;
  readonly error: ErrorData | null;
}

interface Followed<Snapshot extends RunPart> {
  /** What the run is about, for errors that do not say it. */
  readonly path: string;
  readonly signal: AbortSignal;
  /** The first message. */
  readonly message: string;
  readonly tell: (update: Partial<Snapshot> | Partial<RunPart>) => void;
  /** Resolves to what the page shows of the result. */
  readonly work: (progress: (value: EvaluateProgress) => void) => Promise<Partial<Snapshot>>;
}

/**
 * Runs a call for a page, which is told of its progress and of how it ended. Never rejects: the page shows what went
 * wrong.
 */
export async function followedRun<Snapshot extends RunPart>(followed: Followed<Snapshot>): Promise<void> {
  const { path, signal, message: first, tell, work } = followed;
  let run: RunState = { ...IDLE, status: 'running', message: first };
  tell({ error: null, run });
  let last = 0;
  try {
    const result = await work(({ done, total, message, secondsLeft = null }) => {
      const now = performance.now();
      if (now - last < REPORT_MS) return;
      last = now;
      run = { status: 'running', done, total, message, secondsLeft };
      tell({ run });
    });
    tell({ run: { ...IDLE, status: 'done' }, ...result });
  } catch (error) {
    if (signal.aborted || (error instanceof RankscopeError && error.code === 'cancelled'))
      tell({ run: { ...run, status: 'cancelled', message: '' } });
    else tell({ error: errorData(error, path), run: { ...run, status: 'failed', message: '' } });
  }
}
