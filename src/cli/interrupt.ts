/** What is under way has so long to stop and to remove its temporary files. */
const GRACE_MS = 2000;

export interface Interruption {
  readonly signal: AbortSignal;
  /** No longer listens. */
  end(): void;
}

/**
 * Aborts its signal when the process is asked to end, once for Ctrl-C and for SIGTERM alike. What has not stopped within the grace, such
 * as a read from a disk that does not answer, is left to `exit`; being asked a second time, somebody means it, and `exit` comes at once.
 */
export function interruption(exit: () => void): Interruption {
  const controller = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const onSignal = () => {
    if (controller.signal.aborted) exit();
    controller.abort();
    timer ??= setTimeout(exit, GRACE_MS);
  };
  process.on('SIGINT', onSignal).on('SIGTERM', onSignal);
  return {
    signal: controller.signal,
    end() {
      clearTimeout(timer);
      process.off('SIGINT', onSignal).off('SIGTERM', onSignal);
    },
  };
}
