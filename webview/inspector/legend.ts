import type { CellValues } from '../charts/cells.ts';
import { rampCanvas } from '../charts/ramp.ts';
import { element, setText } from '../ui/dom.ts';

/** The colour scale with the values at its ends, and the marks of cells. */
export function createLegend(root: HTMLElement): {
  show(values: CellValues, label: (value: number) => string, hasGroups: boolean): void;
} {
  const low = element('span');
  const high = element('span');
  const none = element('span', { class: 'faint', text: 'No values yet' });
  const spread = key('spread', 'median and quartiles of the experts');
  const ramp = element('span', { class: 'ramp' }, low, rampCanvas(), high);
  root.replaceChildren(
    ramp,
    none,
    key('pending', 'pending'),
    key('preview', 'preview'),
    key('skipped', 'skipped'),
    key('picked', 'rank set by hand'),
    spread,
  );
  return {
    show({ domain }, label, hasGroups) {
      spread.hidden = !hasGroups;
      ramp.hidden = !domain;
      none.hidden = domain !== null;
      if (!domain) return;
      setText(low, label(domain[0]));
      setText(high, label(domain[1]));
    },
  };
}

function key(kind: string, text: string): HTMLElement {
  return element('span', { class: 'key' }, element('span', { class: `swatch ${kind}` }), element('span', { text }));
}
