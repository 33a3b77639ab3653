import * as vscode from 'vscode';
import type { CallContext, StepProgress } from '../../protocol/service.ts';

/** Runs a call with its progress in the notification area, where it can be cancelled. */
export function cancellable<Result>(
  title: string,
  work: (context: Required<CallContext<StepProgress>>) => Promise<Result>,
): Thenable<Result> {
  const options = { location: vscode.ProgressLocation.Notification, title, cancellable: true };
  return vscode.window.withProgress(options, (progress, token) => {
    const abort = new AbortController();
    token.onCancellationRequested(() => abort.abort());
    let told = 0;
    return work({
      signal: abort.signal,
      progress: ({ done, total, message }) => {
        const percent = total > 0 ? (100 * done) / total : 0;
        // A call of several parts counts the steps of each anew.
        progress.report({ message, increment: Math.max(0, percent - told) });
        told = Math.max(told, percent);
      },
    });
  });
}
