import {
  type CancellationToken,
  CancellationTokenSource,
  type MessageConnection,
  ProgressType,
  ResponseError,
} from 'vscode-jsonrpc';
import { cancelled, type ErrorData, errorData, RankscopeError } from '../base/errors.ts';
import type { CallContext } from './service.ts';

/** A request's parameters, with the token of its progress. */
interface Envelope {
  readonly params: unknown;
  /** Present if the caller wants progress. */
  readonly token?: string;
}

export type Handlers = Record<string, (params: unknown, context: CallContext<unknown>) => Promise<unknown>>;

const PROGRESS = new ProgressType<readonly unknown[]>();
/** A code in the range that JSON-RPC leaves to applications; the error itself travels as data. */
const RANKSCOPE_ERROR = -32050;
let lastToken = 0;

/**
 * Registers every handler on `connection`. Whatever a handler throws reaches the caller as a RankscopeError.
 * @returns a function that cancels all pending calls and resolves once they have ended.
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
    if (!handler) return answerOf(new RankscopeError('wrong-use', method, 'unknown call'));
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

/** Makes one call. Ends in its value or in a RankscopeError; `gone` makes the error for a dead channel. */
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

// Each bundle has its own copy of the library's error class, so `instanceof` cannot be used.
function errorOf(error: unknown): RankscopeError | undefined {
  const { code, data } = error as { code?: number; data?: ErrorData };
  return code === RANKSCOPE_ERROR && data ? RankscopeError.from(data) : undefined;
}

/** Ignores progress that can no longer be delivered: the call itself reports the dead channel. */
function quietly(sent: Promise<void>): void {
  sent.catch(() => undefined);
}

/**
 * How long a report may wait for others. One message for each of a thousand small matrices would keep both ends busy.
 */
const GATHER_MS = 20;
/** Reports in one message at most: a hundred findings are unpacked without a noticeable pause. */
const GATHERED = 100;

/** Batches progress reports; their order is kept. */
class Reports {
  private gathered: unknown[] = [];
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly deliver: (reports: readonly unknown[]) => void) {}

  add(report: unknown): void {
    this.gathered.push(report);
    if (this.gathered.length >= GATHERED) this.flush();
    else this.timer ??= setTimeout(() => this.flush(), GATHER_MS);
  }

  /** Delivers what is left; called before the answer is sent. */
  flush(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    const reports = this.gathered;
    this.gathered = [];
    if (reports.length > 0) this.deliver(reports);
  }
}
