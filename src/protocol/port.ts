import {
  AbstractMessageReader,
  AbstractMessageWriter,
  createMessageConnection,
  type DataCallback,
  type Disposable,
  type Message,
  type MessageConnection,
  RAL,
} from 'vscode-jsonrpc';
import { Inbox, Outbox } from './mailbox.ts';

/** One end of a boundary that carries structured-clone messages in order: a child process, a webview, a MessagePort. */
export interface Port {
  /** Throws, or gives a promise that rejects, when the other end is gone. */
  postMessage(message: unknown): unknown;
  onMessage(listener: (message: unknown) => void): Disposable;
  /** Called once when the other end is gone for good, with what is known of the reason. */
  onClose?(listener: (reason?: string) => void): Disposable;
}

/**
 * JSON-RPC over `port`; messages are handed on as they are, without text in between, and large ones in parts. Not listening yet.
 * What is sent must not change afterwards: a large message is on its way for a while.
 * Node and the browser share this: the library's own entry points for the two differ only in transports that are not used here.
 */
export function connectionOver(port: Port): MessageConnection {
  return createMessageConnection(new PortReader(port), new PortWriter(port));
}

class PortReader extends AbstractMessageReader {
  constructor(private readonly port: Port) {
    super();
  }

  listen(callback: DataCallback): Disposable {
    const inbox = new Inbox((message) => callback(message as Message));
    return this.port.onMessage((message) => inbox.receive(message));
  }
}

class PortWriter extends AbstractMessageWriter {
  private readonly outbox: Outbox;

  constructor(port: Port) {
    super();
    this.outbox = new Outbox((message) => port.postMessage(message));
  }

  write(message: Message): Promise<void> {
    return this.outbox.send(message);
  }

  end(): void {}

  override dispose(): void {
    super.dispose();
    this.outbox.close();
  }
}

/** A scheduled callback that can be taken back. */
function scheduled(schedule: (run: () => void) => void, callback: () => void): Disposable {
  let active = true;
  schedule(() => active && callback());
  return { dispose: () => (active = false) };
}

// The library asks its runtime for timers and a console alone as long as no byte stream is read; streams are not used here.
const runtime = {
  timer: {
    setImmediate: (callback: (...args: unknown[]) => void, ...args: unknown[]) =>
      scheduled(queueMicrotask, () => callback(...args)),
    setTimeout: (callback: (...args: unknown[]) => void, ms: number, ...args: unknown[]) =>
      scheduled(
        (run) => setTimeout(run, ms),
        () => callback(...args),
      ),
    setInterval: (callback: (...args: unknown[]) => void, ms: number, ...args: unknown[]) => {
      const handle = setInterval(callback, ms, ...args);
      return { dispose: () => clearInterval(handle) };
    },
  },
  console,
};
RAL.install(runtime as unknown as RAL);
