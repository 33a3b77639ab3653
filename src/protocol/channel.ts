import { RankscopeError } from '../base/errors.ts';
import { answerCalls, type Handlers, request } from './calls.ts';
import { connectionOver, type Port } from './port.ts';
import type { CallContext, Calls, Service } from './service.ts';

/**
 * Answers the calls that arrive at `port` with `service` until the port closes or `close` is called. Pending calls are
 * then cancelled, and `close` resolves once they have ended. `log` receives every error that is not a RankscopeError: a
 * defect of ours, whose stack does not reach the caller.
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
  /** Rejects every pending and every later call with RankscopeError 'engine'. */
  close(reason?: string): void;
}

/** The service at the other end of `port`. When the port closes, every pending and every later call is rejected. */
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
      'Run the command again to start a new one',
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

/** Keeps `connect` complete: a declared call that is missing here does not compile. */
const NAMES: Record<keyof Calls, true> = {
  open: true,
  analyze: true,
  prioritize: true,
  spectrum: true,
  compare: true,
  sharing: true,
  trial: true,
  trialPictures: true,
  diff: true,
  training: true,
  restoreHeads: true,
  loraCount: true,
  loraWrite: true,
  loraExtract: true,
  loraInit: true,
  loraSuggest: true,
  plan: true,
  planCurves: true,
  apply: true,
  estimateApply: true,
  evaluate: true,
  calibrate: true,
  generate: true,
  script: true,
  compress: true,
  estimateCompression: true,
  layerCode: true,
  clearCache: true,
};
