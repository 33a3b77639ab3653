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
import { immediate } from '../base/eventLoop.ts';
import { Inbox, Outbox } from './mailbox.ts';

/**
 * One end of a boundary that carries structured-clone messages in order: a child process, a webview or a MessagePort.
 */
export interface Port {
  /** Throws, or returns a promise that rejects, when the other end is gone. */
  postMessage(message: unknown): unknown;
  onMessage(listener: (message: unknown) => void): Disposable;
  /** Calls `listener` once, when the other end is gone for good, with the reason if it is known. */
  onClose?(listener: (reason?: string) => void): Disposable;
}

/**
 * JSON-RPC over `port`, not listening yet. Messages are passed as objects, not as text, and large ones in parts; a
 * message must not change after it was sent, because a large one leaves over several turns. Node and browsers share
 * this: the library's entry points for the two differ only in transports that are not used here.
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

/** A scheduled callback that can be cancelled. */
function scheduled(schedule: (run: () => void) => void, callback: () => void): Disposable {
  let active = true;
  schedule(() => active && callback());
  return { dispose: () => (active = false) };
}

// As long as no byte stream is read, and none is here, the library needs only timers and a console of its runtime.
const runtime = {
  timer: {
    // The library handles one message in each of these. In Node that is a turn of the event loop: what piled up while
    // the process had to wait for the processor does not hold the loop all at once. A browser's timers would make
    // messages wait for milliseconds.
    setImmediate: (callback: (...args: unknown[]) => void, ...args: unknown[]) =>
      scheduled(immediate ?? queueMicrotask, () => callback(...args)),
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
