import { button, checkbox, select } from '../ui/controls.ts';
import { element, setText } from '../ui/dom.ts';
import type { Measure } from './measure.ts';
import { BASES, type Basis, measureById, measuresFor } from './measures.ts';
import type { ViewState } from './state.ts';

interface ToolbarHooks {
  readonly changeView: (change: Partial<ViewState>) => void;
  readonly zoomBy: (factor: number) => void;
  readonly showAll: () => void;
  readonly exportAs: (kind: 'png' | 'csv' | 'json') => void;
}

const FAMILIES: Readonly<Record<Measure['family'], string>> = {
  weights: 'Weights (W)',
  activations: 'As the activations see them (W X)',
  difference: 'Where the two part (W minus W X)',
};

/** Settings of the heatmap, zoom and export. */
export function createToolbar(
  root: HTMLElement,
  hooks: ToolbarHooks,
): {
  show(view: ViewState, has: { findings: boolean; activations: boolean }, expertModules: readonly string[]): void;
} {
  const measure = select('Measure', measuresFor(false), (id) => hooks.changeView({ measure: id }));
  const basis = select('Ranks relative to', BASES, (id) => hooks.changeView({ basis: id as Basis }));
  const columns = select('Columns', [], (id) => hooks.changeView({ opened: id || null, zoom: null }));
  let modules: readonly string[] = [];
  let isGrouped = false;
  const asTable = checkbox('Table', false, (checked) => hooks.changeView({ asTable: checked }));
  const smaller = button({ label: '−', title: 'Zoom out', appearance: 'icon', onClick: () => hooks.zoomBy(1 / 1.4) });
  const larger = button({ label: '+', title: 'Zoom in', appearance: 'icon', onClick: () => hooks.zoomBy(1.4) });
  const all = button({ label: 'Fit', title: 'Show all cells', onClick: hooks.showAll });
  const exports = (['png', 'csv', 'json'] as const).map((kind) =>
    button({
      label: kind.toUpperCase(),
      title: kind === 'png' ? 'Save the heatmap as PNG' : `Save the numbers as ${kind.toUpperCase()}`,
      onClick: () => hooks.exportAs(kind),
    }),
  );
  const explanation = element('p', { class: 'faint explanation' });
  root.replaceChildren(
    element(
      'div',
      { class: 'toolbar' },
      measure.element,
      basis.element,
      columns.element,
      asTable.element,
      element('span', { class: 'spring' }),
      element(
        'span',
        { class: 'group', attributes: { role: 'group', 'aria-label': 'Zoom' } },
        smaller.element,
        larger.element,
        all.element,
      ),
      element(
        'span',
        { class: 'group', attributes: { role: 'group', 'aria-label': 'Export' } },
        element('span', { class: 'faint', text: 'Export' }),
        ...exports.map((control) => control.element),
      ),
    ),
    explanation,
  );
  return {
    show(view, { findings: hasFindings, activations }, expertModules) {
      if (String(modules) !== String(expertModules)) {
        modules = expertModules;
        const opened = modules.map((module) => ({ id: module, label: `experts of ${module}` }));
        columns.setOptions([{ id: '', label: 'modules as columns' }, ...opened]);
      }
      columns.element.hidden = modules.length === 0 || view.asTable;
      columns.set(view.opened ?? '');
      const current = measureById(view.measure);
      // A measure of W X that was chosen before a reload is shown as such, also where there are no statistics yet.
      const grouped = activations || current.family !== 'weights';
      if (grouped !== isGrouped) {
        isGrouped = grouped;
        const options = measuresFor(grouped).map(({ id, label, family }) => ({ id, label, group: FAMILIES[family] }));
        measure.setOptions(grouped ? options : measuresFor(false));
      }
      measure.set(view.measure);
      basis.set(view.basis);
      basis.element.hidden = current.kind !== 'rank';
      asTable.set(view.asTable);
      for (const control of [smaller, larger]) control.set({ hidden: view.asTable });
      all.set({ hidden: view.asTable, disabled: view.zoom === null });
      exports[0]!.set({ disabled: !hasFindings || view.asTable });
      for (const control of exports.slice(1)) control.set({ disabled: !hasFindings });
      setText(explanation, current.explanation);
    },
  };
}
