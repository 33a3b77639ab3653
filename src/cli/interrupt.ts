/** How long running work has to stop and to remove its temporary files. */
const GRACE_MS = 2000;

export interface Interruption {
  readonly signal: AbortSignal;
  /** Stops listening. */
  end(): void;
}

/**
 * Aborts its signal on the first Ctrl-C or SIGTERM. Calls `exit` if work has not stopped after the grace period, such
 * as a read from a disk that does not answer, and immediately on a second request.
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
