import { connectPage, type PageLink } from '../../src/protocol/pageChannel.ts';

const editor = acquireVsCodeApi();

/** The typed connection of this page to the extension host. */
export function connectHost<
  Calls extends { [Name in keyof Calls]: { params: unknown; result: unknown } },
  Update,
>(): PageLink<Calls, Update> {
  return connectPage<Calls, Update>({
    postMessage: (message) => editor.postMessage(message),
    onMessage(listener) {
      const receive = (event: MessageEvent) => listener(event.data);
      window.addEventListener('message', receive);
      return { dispose: () => window.removeEventListener('message', receive) };
    },
  });
}

/** The state that was last passed to `keep`; it survives reloads, tab moves and window restores. */
export function kept(): unknown {
  return editor.getState();
}

export function keep(state: unknown): void {
  editor.setState(state);
}
