import type { MessagePort, Worker } from 'node:worker_threads';
import type { Port } from '../protocol/port.ts';

/** A thread, from either end, as a port for typed calls. */
export function threadPort(end: Worker | MessagePort): Port {
  return {
    postMessage: (message) => end.postMessage(message),
    onMessage(listener) {
      end.on('message', listener);
      return { dispose: () => end.off('message', listener) };
    },
  };
}
