import { cancelled } from '../base/errors.ts';

/** Rejects as soon as `signal` aborts; `work` keeps running because others may share it. */
export function abortable<Result>(
  subject: string,
  signal: AbortSignal | undefined,
  work: Promise<Result>,
): Promise<Result> {
  if (!signal) return work;
  work.catch(() => undefined);
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(cancelled(subject));
    if (signal.aborted) onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}
