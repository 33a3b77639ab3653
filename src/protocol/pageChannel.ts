import type { Disposable, MessageConnection } from 'vscode-jsonrpc';
import { RankscopeError } from '../base/errors.ts';
import { answerCalls, type Handlers, request } from './calls.ts';
import { UPDATE } from './page.ts';
import { connectionOver, type Port } from './port.ts';

/** A table of page requests such as `InspectorCalls` or `PlanCalls`. */
type PageCalls<Calls> = { [Name in keyof Calls]: { params: unknown; result: unknown } };

/** The extension host's side of a page's calls. */
export type PageHandlers<Calls extends PageCalls<Calls>> = {
  [Name in keyof Calls]: (params: Calls[Name]['params']) => Promise<Calls[Name]['result']>;
};

/** The host's handle of a page. */
export interface PageHost<Update> {
  /**
   * Tells the page what changed. Dropped while no page is loaded: the next one asks for the full state with `ready`.
   */
  update(update: Update): void;
  close(): void;
}

/** The page's handle of its host. */
export interface PageLink<Calls extends PageCalls<Calls>, Update> {
  call<Name extends keyof Calls & string>(
    name: Name,
    ...params: Calls[Name]['params'] extends void ? [] : [Calls[Name]['params']]
  ): Promise<Calls[Name]['result']>;
  onUpdate(listener: (update: Update) => void): Disposable;
  close(): void;
}

/**
 * A message with the id of the page load it belongs to. A reloaded page reuses the request numbers of the old one; the
 * id keeps late answers to the old page from reaching the new one.
 */
interface Stamped {
  readonly page: string;
  readonly message: unknown;
}

/** Host side: answers a webview's calls. A reloaded page replaces the one before it. `log` receives defects of ours. */
export function servePage<Calls extends PageCalls<Calls>, Update>(
  port: Port,
  handlers: PageHandlers<Calls>,
  log: (fault: unknown) => void = () => undefined,
): PageHost<Update> {
  let current: { page: string; receive(message: unknown): void; connection: MessageConnection } | undefined;
  const start = (page: string) => {
    current?.connection.dispose();
    let receive: (message: unknown) => void = () => undefined;
    const connection = connectionOver({
      // An answer whose page is gone has no reader.
      postMessage: (message) => current?.page === page && port.postMessage({ page, message } satisfies Stamped),
      onMessage: (listener) => {
        receive = listener;
        return { dispose: () => (receive = () => undefined) };
      },
    });
    answerCalls(connection, handlers as unknown as Handlers, log);
    connection.listen();
    return { page, connection, receive: (message: unknown) => receive(message) };
  };
  const subscription = port.onMessage((stamped) => {
    if (!isStamped(stamped)) return;
    if (current?.page !== stamped.page) current = start(stamped.page);
    current.receive(stamped.message);
  });
  return {
    update: (update) => void current?.connection.sendNotification(UPDATE, update).catch(() => undefined),
    close() {
      subscription.dispose();
      current?.connection.dispose();
      current = undefined;
    },
  };
}

/** Page side: calls the host. `page` identifies this load of the page. */
export function connectPage<Calls extends PageCalls<Calls>, Update>(
  port: Port,
  page: string = crypto.randomUUID(),
): PageLink<Calls, Update> {
  const connection = connectionOver({
    postMessage: (message) => port.postMessage({ page, message } satisfies Stamped),
    onMessage: (listener) =>
      port.onMessage((stamped) => {
        if (isStamped(stamped) && stamped.page === page) listener(stamped.message);
      }),
  });
  connection.listen();
  const gone = (cause: unknown) =>
    new RankscopeError(
      'engine',
      'Rankscope',
      'the editor no longer answers this page',
      'Close the tab and open it again',
      {
        cause,
      },
    );
  return {
    call: (name, ...params) => request(connection, name, params[0], undefined, gone),
    onUpdate: (listener) => connection.onNotification(UPDATE, listener),
    close: () => connection.dispose(),
  };
}

function isStamped(value: unknown): value is Stamped {
  return typeof value === 'object' && value !== null && 'page' in value && 'message' in value;
}
