import type { ErrorData } from '../../src/base/errors.ts';
import { element } from './dom.ts';

/** An error: what it is about, what was found, and what to do. */
export function errorNotice({ subject, found, remedy }: ErrorData): HTMLElement {
  return element(
    'div',
    { class: 'notice error', attributes: { role: 'alert' } },
    element('strong', { text: subject }),
    element('span', { text: found }),
    remedy ? element('span', { class: 'remedy', text: remedy }) : null,
  );
}
