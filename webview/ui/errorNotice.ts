import type { ErrorData } from '../../src/base/errors.ts';
import { baseName } from '../../src/base/paths.ts';
import { button } from './controls.ts';
import { element } from './dom.ts';

/**
 * An error: what it is about, what was found, and what to do. With `open`, what could be opened instead is offered as
 * buttons.
 */
export function errorNotice(error: ErrorData, open?: (path: string) => void): HTMLElement {
  const { subject, found, remedy, choices } = error;
  const buttons = open && choices?.map((path) => choice(path, open));
  return element(
    'div',
    { class: 'notice error', attributes: { role: 'alert' } },
    element('strong', { text: subject }),
    element('span', { text: found }),
    buttons
      ? element('div', { class: 'choices' }, ...buttons)
      : remedy
        ? element('span', { class: 'remedy', text: remedy })
        : null,
  );
}

function choice(path: string, open: (path: string) => void): HTMLElement {
  return button({ label: baseName(path), title: `Open ${path}`, onClick: () => open(path) }).element;
}
