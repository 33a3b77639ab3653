import { ChildProcess } from 'node:child_process';
import { Worker } from 'node:worker_threads';
import * as vscode from 'vscode';

/** What crossed the boundaries of this extension host; sizes are characters of the messages as JSON. */
export interface Traffic {
  readonly messages: number;
  /** The largest message, sent or received: it is packed or unpacked without a pause. */
  readonly largest: number;
  /** The most that was sent in one turn of the event loop. */
  readonly mostInTurn: number;
}

/** Notes the messages to threads and pages and those from threads and processes until `stop` is called. */
export function recordTraffic(): { stop(): Traffic } {
  let [messages, largest, mostInTurn] = [0, 0, 0];
  let inTurn: number | undefined;
  const note = (message: unknown): number => {
    // At once: a message that was received is taken apart soon.
    const size = JSON.stringify(message)?.length ?? 0;
    messages++;
    largest = Math.max(largest, size);
    return size;
  };
  const noteSent = (message: unknown) => {
    if (inTurn === undefined) {
      inTurn = 0;
      setImmediate(() => {
        inTurn = undefined;
      });
    }
    inTurn += note(message);
    mostInTurn = Math.max(mostInTurn, inTurn);
  };
  const noteReceived = (event: unknown, message: unknown) => {
    if (event === 'message') note(message);
  };
  const restore = [
    noted(Worker.prototype, 'postMessage', noteSent),
    noted(webviewPrototype(), 'postMessage', noteSent),
    noted(Worker.prototype, 'emit', noteReceived),
    noted(ChildProcess.prototype, 'emit', noteReceived),
  ];
  return {
    stop() {
      for (const put of restore) put();
      return { messages, largest, mostInTurn };
    },
  };
}

/** Calls `note` with the arguments of every call of a method, also of an inherited one; returns what undoes that. */
function noted(owner: object, name: string, note: (...parameters: unknown[]) => void): () => void {
  const methods = owner as Record<string, (...parameters: unknown[]) => unknown>;
  const method = methods[name];
  if (method === undefined) throw new Error(`no method ${name}`);
  const isOwn = Object.hasOwn(methods, name);
  methods[name] = function (this: unknown, ...parameters: unknown[]) {
    note(...parameters);
    return method.apply(this, parameters);
  };
  return () => {
    if (isOwn) methods[name] = method;
    else delete methods[name];
  };
}

/** The class of all webviews of this extension host. */
function webviewPrototype(): object {
  const panel = vscode.window.createWebviewPanel('rankscope.test', 'Traffic', { viewColumn: -2, preserveFocus: true });
  try {
    return Object.getPrototypeOf(panel.webview);
  } finally {
    panel.dispose();
  }
}
