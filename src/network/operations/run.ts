import type { Pause } from '../../base/eventLoop.ts';
import type { Backend } from '../../devices/backend.ts';
import type { Rows } from './rows.ts';

/** What operations run on. */
export interface Run {
  readonly backend: Backend;
  /** Awaited at least every 100 ms: yields to other work, and throws 'cancelled'. */
  readonly pause: Pause;
  /** Receives the inputs of layers that read the same, before these compute; awaited. */
  readonly observe?: ((inputs: Rows, layers: readonly { readonly name: string }[]) => Promise<void>) | undefined;
}
