import type { CellValues } from '../charts/cells.ts';
import { COLOR_SCALE, SCALE_SIZE } from '../ui/colorScale.ts';
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

/** The colour scale as an image, one pixel per step; CSS stretches it. */
export function rampCanvas(): HTMLCanvasElement {
  const canvas = element('canvas', { attributes: { width: String(SCALE_SIZE), height: '1', 'aria-hidden': 'true' } });
  const image = new ImageData(SCALE_SIZE, 1);
  for (let step = 0; step < SCALE_SIZE; step++) {
    image.data.set(COLOR_SCALE.subarray(step * 3, step * 3 + 3), step * 4);
    image.data[step * 4 + 3] = 255;
  }
  canvas.getContext('2d')!.putImageData(image, 0, 0);
  return canvas;
}

function key(kind: string, text: string): HTMLElement {
  return element('span', { class: 'key' }, element('span', { class: `swatch ${kind}` }), element('span', { text }));
}
