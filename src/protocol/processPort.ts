import type { Port } from './port.ts';

/** What `process` in a forked child and `ChildProcess` in its parent have in common. */
export interface ProcessLike {
  send?(message: unknown, callback?: (error: Error | null) => void): boolean;
  // biome-ignore lint/suspicious/noExplicitAny: the listeners' types are Node's, and this folder does not import Node.
  on(event: string, listener: (...args: any[]) => void): unknown;
  // biome-ignore lint/suspicious/noExplicitAny: as above.
  off(event: string, listener: (...args: any[]) => void): unknown;
  readonly connected?: boolean;
}

/** How long to wait for the second sign of a process's end (exit, disconnect) after the first. */
const FAREWELL_MS = 300;

/** The IPC channel of a process forked with `serialization: 'advanced'`, from either end. */
export function processPort(process: ProcessLike): Port {
  return {
    // An undeliverable message is not reported here: the end of the process, which follows, says why.
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

// When a child exits, its last answers may still be in the pipe; when the pipe closes, the exit code may not be known
// yet. Hence the short wait for both.
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
  // The only event of a process that could not be started.
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
