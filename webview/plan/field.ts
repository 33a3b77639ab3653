import { element } from '../ui/dom.ts';

/** A control with a visible name; for screen readers, each control has its own accessible name. */
export function field(name: string, control: HTMLElement): HTMLElement {
  return element(
    'div',
    { class: 'field' },
    element('span', { class: 'field-name', text: name, attributes: { 'aria-hidden': 'true' } }),
    control,
  );
}
