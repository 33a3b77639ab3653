import type { Theme } from '../charts/theme.ts';
import { element, fill } from '../ui/dom.ts';
import { colorOf, MARKERS } from './plots.ts';
import type { TextRuns } from './texts.ts';

/** What the shapes in the charts mean, and what an error bar is. */
export function createMarkerLegend(): { readonly element: HTMLElement; show(text: TextRuns, theme: Theme): void } {
  const root = element('ul', { class: 'marker-legend', attributes: { 'aria-label': 'Legend' } });
  return {
    element: root,
    show({ measured }, theme) {
      const kinds = (Object.keys(MARKERS) as (keyof typeof MARKERS)[]).filter((kind) =>
        measured.some(({ variant }) => variant.kind === kind),
      );
      const entries = kinds.map((kind) => {
        const sign = element('span', { text: MARKERS[kind].sign, attributes: { 'aria-hidden': 'true' } });
        sign.style.color = colorOf(kind, theme);
        return element('li', {}, sign, element('span', { text: MARKERS[kind].label }));
      });
      const bar =
        measured.length > 0 ? [element('li', { text: 'Bars: ± one standard error of the paired difference' })] : [];
      fill(root, ...entries, ...bar);
    },
  };
}
