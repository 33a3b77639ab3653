import {
  type CancellationToken,
  CancellationTokenSource,
  type MessageConnection,
  ProgressType,
  ResponseError,
} from 'vscode-jsonrpc';
import { cancelled, type ErrorData, errorData, RankscopeError } from '../base/errors.ts';
import { connectionOver, type Port } from './port.ts';
import { Reports } from './reports.ts';
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

/** What a request carries besides its parameters. */
interface Envelope {
  readonly params: unknown;
  /** Present where the caller wants progress. */
  readonly token?: string;
}

export type Handlers = Record<string, (params: unknown, context: CallContext<unknown>) => Promise<unknown>>;

const PROGRESS = new ProgressType<readonly unknown[]>();
/** Our own code in the range that JSON-RPC leaves to applications; the error itself travels as data. */
const RANKSCOPE_ERROR = -32050;
let lastToken = 0;

/**
 * Registers every handler on `connection`. Whatever a handler throws reaches the caller as a RankscopeError.
 * @returns what cancels all that is under way, and gives a promise of its end.
 */
export function answerCalls(
  connection: MessageConnection,
  handlers: Handlers,
  log: (fault: unknown) => void,
): () => Promise<void> {
  const ends = new AbortController();
  const underWay = new Set<Promise<unknown>>();

  async function answer(method: string, envelope: Envelope, token: CancellationToken): Promise<unknown> {
    const handler = Object.hasOwn(handlers, method) ? handlers[method] : undefined;
    if (!handler) return answerOf(new RankscopeError('wrong-use', method, 'no such call'));
    const { params, token: progressToken } = envelope;
    const cancel = new AbortController();
    const subscription = token.onCancellationRequested(() => cancel.abort());
    if (token.isCancellationRequested) cancel.abort();
    const signal = AbortSignal.any([cancel.signal, ends.signal]);
    try {
      if (progressToken === undefined) return await handler(params, { signal });
      const reports = new Reports((values) => quietly(connection.sendProgress(PROGRESS, progressToken, values)));
      try {
        return await handler(params, { signal, progress: (value) => reports.add(value) });
      } finally {
        reports.flush();
      }
    } catch (error) {
      if (!(error instanceof RankscopeError)) log(error);
      return answerOf(error);
    } finally {
      subscription.dispose();
    }
  }

  connection.onRequest((method: string, envelope: unknown, token: CancellationToken) => {
    const answering = answer(method, envelope as Envelope, token).finally(() => underWay.delete(answering));
    underWay.add(answering);
    return answering;
  });
  return async () => {
    ends.abort();
    await Promise.all(underWay);
  };
}

/** Makes one call; ends in its value or in a RankscopeError, `gone` giving the one for a channel that is dead. */
export async function request<Result>(
  connection: MessageConnection,
  name: string,
  params: unknown,
  context: CallContext<unknown> | undefined,
  gone: (cause: unknown) => RankscopeError,
): Promise<Result> {
  if (context?.signal?.aborted) throw cancelled(name);
  const { signal, progress } = context ?? {};
  const source = new CancellationTokenSource();
  const onAbort = () => source.cancel();
  signal?.addEventListener('abort', onAbort);
  const token = progress ? `${name}-${++lastToken}` : undefined;
  const listener = (values: readonly unknown[]) => {
    for (const value of values) progress?.(value);
  };
  const subscription = token ? connection.onProgress(PROGRESS, token, listener) : undefined;
  try {
    const envelope: Envelope = { params, ...(token === undefined ? {} : { token }) };
    return await connection.sendRequest<Result>(name, envelope, source.token);
  } catch (error) {
    throw errorOf(error) ?? gone(error);
  } finally {
    subscription?.dispose();
    signal?.removeEventListener('abort', onAbort);
    source.dispose();
  }
}

function answerOf(error: unknown): ResponseError<ErrorData> {
  const data = errorData(error);
  return new ResponseError(RANKSCOPE_ERROR, data.found, data);
}

// The class of the library's error differs between bundles, its code does not.
function errorOf(error: unknown): RankscopeError | undefined {
  const { code, data } = error as { code?: number; data?: ErrorData };
  return code === RANKSCOPE_ERROR && data ? RankscopeError.from(data) : undefined;
}

/** Progress that cannot be delivered any more is of no interest to anyone. */
function quietly(sent: Promise<void>): void {
  sent.catch(() => undefined);
}
