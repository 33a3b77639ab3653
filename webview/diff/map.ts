import { CELL, type CellValues } from '../charts/cells.ts';
import type { Grid } from '../charts/grid.ts';
import { createHeatmapView, type HeatmapContent, type HeatmapView } from '../charts/heatmapView.ts';
import { groupAt, type Layout, nameAt } from '../charts/layout.ts';
import { layoutValues } from '../charts/layoutValues.ts';
import { createListed } from '../charts/listed.ts';
import { rampCanvas } from '../charts/ramp.ts';
import type { Theme } from '../charts/theme.ts';
import { element, fill, setText } from '../ui/dom.ts';
import { type DiffLayout, diffPlace } from './matrices.ts';
import type { DiffMeasure } from './measures.ts';

export interface DiffMap {
  show(shown: DiffLayout, measure: DiffMeasure, selected: string | null, theme: Theme): void;
}

/** The matrices by layer and module, those outside the layers as a list, and the ends of the colour scale. */
export function createDiffMap(root: HTMLElement, select: (id: string) => void): DiffMap {
  const main = element('div', { class: 'diff-grid' });
  const loose = element('div', { class: 'diff-grid' });
  const listedRoot = element('div', {
    class: 'listed',
    attributes: { role: 'group', 'aria-label': 'Outside the layers' },
  });
  const [low, high] = [element('span'), element('span')];
  const ramp = element('p', { class: 'ramp' }, low, rampCanvas(), high);
  fill(root, main, loose, listedRoot, ramp);
  let current: { shown: DiffLayout; measure: DiffMeasure; values: CellValues } | null = null;
  let built: { shown: DiffLayout; theme: Theme; views: readonly (readonly [Grid, HeatmapView])[] } | null = null;
  /** The first expert stands for all of its group. */
  const chosen = (index: number) => {
    const { layout } = current!.shown;
    select(nameAt(layout, groupAt(layout, index)?.members[0] ?? index));
  };
  const describe = (index: number) => (current ? linesOf(current, index) : []);
  const listed = createListed(listedRoot, { select: chosen, describe });
  return {
    show(shown, measure, selected, theme) {
      const { layout, byId } = shown;
      const values = layoutValues(layout, measure.scale, (index) => {
        const matrix = byId.get(layout.matrices[index]!.name)!;
        const value = measure.value(matrix);
        return { state: value === null ? CELL.skipped : CELL.exact, value: value ?? Number.NaN };
      });
      current = { shown, measure, values };
      const at = layout.indexOf.get(selected ?? '') ?? -1;
      const cell = at < 0 || layout.groupOf[at]! < 0 ? at : layout.groupOf[at]!;
      const content: HeatmapContent = { values, label: measure.text, selected: cell, hasRank: () => false };
      if (built?.shown !== shown || built.theme !== theme) {
        for (const [, view] of built?.views ?? []) view.destroy();
        const made = (target: HTMLElement, name: string, grid: Grid | null) => {
          fill(target);
          target.hidden = grid === null;
          const hooks = { select: chosen, zoomed: () => undefined, describe };
          return grid ? [[grid, createHeatmapView(target, name, grid, theme, content, hooks)] as const] : [];
        };
        const views = [
          ...made(main, 'Heatmap of the differences with layers as rows and modules as columns', layout.main),
          ...made(loose, 'Heatmap of the differences outside the layers', layout.loose),
        ];
        built = { shown, theme, views };
      } else for (const [, view] of built.views) view.show(content);
      listed.show(layout, values, measure.text, cell);
      ramp.hidden = values.domain === null;
      if (!values.domain) return;
      setText(low, measure.text(values.domain[0]));
      setText(high, measure.text(values.domain[1]));
    },
  };
}

function linesOf(
  { shown: { layout, byId }, measure, values }: { shown: DiffLayout; measure: DiffMeasure; values: CellValues },
  index: number,
): string[] {
  const value = values.values[index]!;
  const text = Number.isNaN(value) ? 'unknown' : measure.text(value);
  const line = `${measure.label}: ${text}`;
  const group = groupAt(layout as Layout, index);
  if (group) return [group.name, `${group.members.length} experts`, `${line} (median)`];
  const matrix = byId.get(nameAt(layout, index))!;
  const state = matrix.state === 'changed' ? [] : [matrix.state === 'identical' ? 'bit-identical' : 'equal values'];
  return [matrix.name, diffPlace(matrix), line, ...state];
}
