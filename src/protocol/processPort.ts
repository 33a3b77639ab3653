import type { Port } from './port.ts';

/** What `process` in a forked child and the `ChildProcess` in its parent have in common. */
export interface ProcessLike {
  send?(message: unknown, callback?: (error: Error | null) => void): boolean;
  // biome-ignore lint/suspicious/noExplicitAny: the listeners' types are Node's, and this folder does not know Node.
  on(event: string, listener: (...args: any[]) => void): unknown;
  // biome-ignore lint/suspicious/noExplicitAny: as above.
  off(event: string, listener: (...args: any[]) => void): unknown;
  readonly connected?: boolean;
}

/** How long the second of the two signs of a process's end (exit, disconnect) is waited for after the first. */
const FAREWELL_MS = 300;

/** The IPC channel of a forked process, seen from either end; fork with `serialization: 'advanced'`. */
export function processPort(process: ProcessLike): Port {
  return {
    // A message that cannot be delivered is no error here: the end of the process, which is on its way, says why.
    postMessage: (message) =>
      new Promise<void>((resolve) => {
        if (!process.send || process.connected === false) resolve();
        else process.send(message, () => resolve());
      }),
    onMessage(listener) {
      process.on('message', listener);
      return { dispose: () => process.off('message', listener) };
    },
    onClose: (listener) => watchEnd(process, listener),
  };
}

// The last answers may still be in the pipe when a child exits, and its exit code may not be known yet when the pipe closes: both
// are awaited, for a moment.
function watchEnd(process: ProcessLike, listener: (reason?: string) => void) {
  let reason: string | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const seen = new Set<string>();
  const end = () => {
    dispose();
    listener(reason ?? 'it closed its channel');
  };
  const sign = (event: string) => {
    seen.add(event);
    if (seen.has('exit') && seen.has('disconnect')) end();
    else timer ??= setTimeout(end, FAREWELL_MS);
  };
  const onExit = (code: number | null, signal: string | null) => {
    reason = signal ? `it was killed by ${signal}` : `it exited with code ${code}`;
    sign('exit');
  };
  const onDisconnect = () => sign('disconnect');
  // A process that never came to life has no other event.
  const onError = (error: Error & { syscall?: string }) => {
    if (!error.syscall?.startsWith('spawn')) return;
    reason = error.message;
    sign('exit');
  };
  const dispose = () => {
    clearTimeout(timer);
    process.off('exit', onExit);
    process.off('disconnect', onDisconnect);
    process.off('error', onError);
  };
  process.on('exit', onExit);
  process.on('disconnect', onDisconnect);
  process.on('error', onError);
  if (process.connected === false) sign('disconnect');
  return { dispose };
}
