import { RankscopeError } from '../base/errors.ts';
import { answerCalls, type Handlers, request } from './calls.ts';
import { connectionOver, type Port } from './port.ts';
import type { CallContext, Calls, Service } from './service.ts';

/**
 * Answers the calls that arrive at `port` with `service`, until the port closes or `close` is called: then everything under way is
 * cancelled, and `close` gives a promise of its end.
 * `log` hears of errors that are not RankscopeErrors: faults of ours, whose stack the caller does not get.
 */
export function serve(
  port: Port,
  service: Service,
  log: (fault: unknown) => void = () => undefined,
): { close(): Promise<void> } {
  const connection = connectionOver(port);
  const cancelAll = answerCalls(connection, service as unknown as Handlers, log);
  const close = async () => {
    connection.dispose();
    await cancelAll();
  };
  port.onClose?.(() => void close());
  connection.listen();
  return { close };
}

/** The service at the other end of a port. */
export interface RemoteService extends Service {
  /** Rejects all that is pending, and every later call, with RankscopeError 'engine'. */
  close(reason?: string): void;
}

/** The service that is served at the other end of `port`. A port that closes rejects all that is pending, and every later call. */
export function connect(port: Port): RemoteService {
  const connection = connectionOver(port);
  let closed: string | undefined;
  const close = (reason = 'it was closed') => {
    if (closed !== undefined) return;
    closed = reason;
    connection.dispose();
  };
  port.onClose?.(close);
  connection.listen();
  const gone = (cause?: unknown) =>
    new RankscopeError(
      'engine',
      'engine process',
      closed ?? String(cause),
      'Run the command again: a new one is started',
      {
        cause,
      },
    );
  const entries = (Object.keys(NAMES) as (keyof Calls)[]).map((name) => [
    name,
    (params: unknown, context?: CallContext<unknown>) =>
      closed === undefined ? request(connection, name, params, context, gone) : Promise.reject(gone()),
  ]);
  return { ...(Object.fromEntries(entries) as Service), close };
}

/** Keeps `connect` complete: a call that is declared and not named here does not compile. */
const NAMES: Record<keyof Calls, true> = {
  open: true,
  analyze: true,
  prioritize: true,
  spectrum: true,
  compare: true,
  plan: true,
  apply: true,
  clearCache: true,
};
