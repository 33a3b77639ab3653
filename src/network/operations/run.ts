import type { Pause } from '../../base/eventLoop.ts';
import type { Backend } from '../../devices/backend.ts';

/** What operations run on. */
export interface Run {
  readonly backend: Backend;
  /** Awaited at least every 100 ms: yields to other work, and throws 'cancelled'. */
  readonly pause: Pause;
}
