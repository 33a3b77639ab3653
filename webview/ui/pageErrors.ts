import { type ErrorData, errorData } from '../../src/base/errors.ts';
import type { RunState } from '../../src/protocol/page.ts';
import { element, fill } from './dom.ts';
import { errorNotice } from './errorNotice.ts';

/** The place where a page says what failed: its last call, or its work. */
export interface PageErrors {
  readonly element: HTMLElement;
  /** Awaits a call; if it fails, its error is shown until the state of the work changes. */
  readonly tell: (call: Promise<unknown>) => void;
  /** Is told the state of the work with each update. */
  follow(status: RunState['status']): void;
  /** @param error of the work, which is shown if no call failed since */
  show(error: ErrorData | null): void;
}

export function createPageErrors(redraw: () => void): PageErrors {
  const root = element('div');
  let failure: ErrorData | null = null;
  let last: RunState['status'] | undefined;
  return {
    element: root,
    tell(call) {
      call.catch((error: unknown) => {
        failure = errorData(error);
        redraw();
      });
    },
    follow(status) {
      if (status !== last) failure = null;
      last = status;
    },
    show(error) {
      const shown = failure ?? error;
      fill(root, shown ? errorNotice(shown) : null);
    },
  };
}
