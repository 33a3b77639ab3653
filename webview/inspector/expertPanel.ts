import { distributionOf } from '../../src/model/distribution.ts';
import type { CellValues } from '../charts/cells.ts';
import type { Grid } from '../charts/grid.ts';
import { createHeatmapView, type HeatmapView } from '../charts/heatmapView.ts';
import { type ExpertGroup, groupAt, nameAt, stripOf } from '../charts/layout.ts';
import { readTheme } from '../charts/theme.ts';
import { button } from '../ui/controls.ts';
import { element, fill, setText } from '../ui/dom.ts';
import { formatValue } from '../ui/format.ts';
import { findingsOf, linesOf } from './cellLines.ts';
import { groupText, shortValue } from './cellText.ts';
import { MEASURES, measureById } from './measures.ts';
import type { Model, ViewState } from './state.ts';

interface ExpertHooks {
  readonly select: (name: string) => void;
  readonly changeView: (change: Partial<ViewState>) => void;
}

export interface ExpertPanel {
  readonly element: HTMLElement;
  /** Shows the group that is selected, or that the selected matrix belongs to; hides itself without one. */
  show(model: Model, view: ViewState, values: CellValues): void;
  /** Rebuilds the strip, whose colours are fixed. */
  themeChanged(): void;
}

/** The experts of a module in one layer: each as a cell, and how their measures are distributed. */
export function createExpertPanel(hooks: ExpertHooks): ExpertPanel {
  const status = element('p', { class: 'faint', attributes: { 'aria-live': 'polite' } });
  const all = button({ label: 'All experts', onClick: () => current && hooks.select(current.group.name) });
  const columns = button({
    label: 'Experts as columns',
    onClick: () => {
      if (!current) return;
      const { module } = current.group;
      hooks.changeView({ opened: current.view.opened === module ? null : module, zoom: null });
    },
  });
  const strip = element('div', { class: 'expert-strip' });
  const distribution = element('div', { class: 'distribution' });
  const root = element(
    'section',
    { class: 'experts', attributes: { 'aria-label': 'Experts' } },
    element('div', { class: 'toolbar' }, status, element('span', { class: 'spring' }), all.element, columns.element),
    strip,
    distribution,
  );
  let current: { model: Model; view: ViewState; group: ExpertGroup } | null = null;
  let built: { group: ExpertGroup; heatmap: HeatmapView } | null = null;
  const discard = () => {
    built?.heatmap.destroy();
    built = null;
  };
  const drawStrip = (values: CellValues) => {
    const { model, view, group } = current!;
    const measure = measureById(view.measure);
    const content = {
      values,
      label: (value: number) => shortValue(measure, view.basis, value),
      selected: model.layout.indexOf.get(view.selected ?? '') ?? -1,
      hasRank: (index: number) => Object.hasOwn(model.ranks, nameAt(model.layout, index)),
    };
    if (built?.group === group) return built.heatmap.show(content);
    discard();
    const name = `The ${group.members.length} experts of ${group.name}`;
    const heatmap = createHeatmapView(strip, name, stripGrid(model, group), readTheme(), content, {
      select: (index) => hooks.select(nameAt(model.layout, index)),
      zoomed: () => undefined,
      describe: (index) => linesOf(current!.model, current!.view, index),
    });
    // Without column heads it needs less room than a map.
    strip.style.height = `${Math.ceil(group.members.length / LINE) * LINE_HEIGHT + 12}px`;
    built = { group, heatmap };
  };
  return {
    element: root,
    show(model, view, values) {
      const { layout } = model;
      const index = layout.indexOf.get(view.selected ?? '') ?? -1;
      const own = groupAt(layout, index);
      const group = own ?? groupAt(layout, layout.groupOf[index] ?? -1);
      root.hidden = !group;
      if (!group) {
        current = null;
        discard();
        return;
      }
      current = { model, view, group };
      const findings = findingsOf(model, group);
      const text = groupText(group, findings, measureById(view.measure), view.basis);
      setText(status, own ? text.status : `Expert ${layout.matrices[index]!.expert}, one of ${group.members.length}`);
      all.set({ hidden: own !== undefined });
      const hasColumns = layout.expertGrids.has(group.module);
      columns.set({
        label: view.opened === group.module ? 'Modules as columns' : 'Experts as columns',
        hidden: !hasColumns,
      });
      drawStrip(values);
      distribution.hidden = !own;
      if (own) showDistribution(distribution, findings, hooks.select);
    },
    themeChanged: discard,
  };
}

/** Experts in one line of the strip at most, and its height in pixels. */
const LINE = 32;
const LINE_HEIGHT = 24;

function stripGrid({ layout }: Model, { members }: ExpertGroup): Grid {
  const lines = Math.ceil(members.length / LINE);
  const first = layout.matrices[members[0]!]!.expert ?? 0;
  return stripOf(members, Math.ceil(members.length / lines), first);
}

/** The distribution of each measure over the experts, with the experts at its ends. */
function showDistribution(
  root: HTMLElement,
  findings: ReturnType<typeof findingsOf>,
  select: (name: string) => void,
): void {
  const rows = MEASURES.flatMap((measure) => {
    const shown = distributionOf(findings, measure.value);
    if (!shown) return [];
    const end = (value: number, name: string) =>
      element(
        'td',
        { class: 'numeric' },
        element('button', {
          class: 'link',
          text: formatValue(value),
          attributes: { type: 'button', title: `Show ${name}` },
          on: { click: () => select(name) },
        }),
      );
    return [
      element(
        'tr',
        {},
        element('th', { text: measure.label, attributes: { scope: 'row', title: measure.explanation } }),
        element('td', { class: 'numeric', text: formatValue(shown.median) }),
        element('td', {
          class: 'numeric',
          text: `${formatValue(shown.quartiles[0])} – ${formatValue(shown.quartiles[1])}`,
        }),
        end(shown.least, shown.leastName),
        end(shown.most, shown.mostName),
      ),
    ];
  });
  const focused = [...root.querySelectorAll('button')].indexOf(document.activeElement as HTMLButtonElement);
  const heads = ['Measure', 'Median', 'Middle half', 'Lowest', 'Highest'].map((text, column) =>
    element('th', { text, class: column > 0 ? 'numeric' : '', attributes: { scope: 'col' } }),
  );
  const caption = element('caption', {
    class: 'visually-hidden',
    text: 'Distribution of the measures over the experts',
  });
  const table = element(
    'table',
    { class: 'table' },
    caption,
    element('thead', {}, element('tr', {}, ...heads)),
    element('tbody', {}, ...rows),
  );
  fill(root, rows.length > 0 ? table : null);
  if (focused >= 0) root.querySelectorAll('button')[focused]?.focus({ preventScroll: true });
}
