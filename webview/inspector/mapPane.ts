import { baseName } from '../../src/base/paths.ts';
import type { CellValues } from '../charts/cells.ts';
import { type Grid, placeIn } from '../charts/grid.ts';
import { narrowPage, type Zoom } from '../charts/heatmapChart.ts';
import { createHeatmapView, type HeatmapContent, type HeatmapView } from '../charts/heatmapView.ts';
import { groupAt, nameAt } from '../charts/layout.ts';
import { createListed } from '../charts/listed.ts';
import { pictureOf } from '../charts/picture.ts';
import { rampCanvas } from '../charts/ramp.ts';
import { readTheme } from '../charts/theme.ts';
import { element, throttled } from '../ui/dom.ts';
import { linesOf } from './cellLines.ts';
import { shortValue } from './cellText.ts';
import { cellValues } from './cellValues.ts';
import { createLegend } from './legend.ts';
import { createMatrixTable } from './matrixTable.ts';
import { BASES, isShare, measureById } from './measures.ts';
import type { Model, ViewState } from './state.ts';
import { wantedOf } from './wanted.ts';

interface MapPaneHooks {
  readonly select: (name: string) => void;
  readonly zoomed: (zoom: Zoom | null) => void;
}

export interface MapPane {
  /** Returns the values of all cells. */
  show(model: Model, view: ViewState): CellValues;
  /** Rebuilds the charts, whose colours are fixed. */
  themeChanged(): void;
  zoomBy(factor: number): void;
  showAll(): void;
  /** Names of matrices that the visible cells need and that have no exact value. */
  wanted(limit: number): string[];
  picture(): string | null;
}

/** The overview of all matrices: the layer grid, the matrices outside the layers and the legend, or a table. */
export function createMapPane(root: HTMLElement, hooks: MapPaneHooks): MapPane {
  const mainRoot = element('div', { class: 'map-main' });
  const listedRoot = element('div', {
    class: 'listed',
    attributes: { role: 'group', 'aria-label': 'Outside the layers' },
  });
  const looseRoot = element('div', { class: 'map-loose' });
  const legendRoot = element('div', { class: 'legend', attributes: { role: 'group', 'aria-label': 'Legend' } });
  const pictures = element('div', { class: 'pictures' }, mainRoot, looseRoot, listedRoot, legendRoot);
  const table = createMatrixTable(hooks.select);
  root.replaceChildren(pictures, table.element);

  const legend = createLegend(legendRoot);
  let model: Model | null = null;
  let view: ViewState | null = null;
  let values: CellValues | null = null;
  let built: { main: Grid | null; loose: Grid | null; heatmaps: HeatmapView[] } | null = null;
  const nameOf = (index: number) => (model ? nameAt(model.layout, index) : '');
  const select = (index: number) => hooks.select(nameOf(index));
  const describe = (index: number) => linesOf(model!, view!, index);
  const listed = createListed(listedRoot, { select, describe });
  const showTableSoon = throttled(1000, (work: () => void) => work());

  const label = (value: number) => shortValue(measureById(view!.measure), view!.basis, value);
  /** The grid of layers: by modules, or by the experts of one module. */
  const mainGrid = () => model!.layout.expertGrids.get(view!.opened ?? '') ?? model!.layout.main;
  const content = (grid: Grid | null): HeatmapContent => ({
    values: values!,
    label,
    selected: grid ? cellShowing(grid, model!, view!.selected) : -1,
    hasRank: (index) => hasRank(model!, index),
  });
  const build = () => {
    for (const heatmap of built?.heatmaps ?? []) heatmap.destroy();
    const theme = readTheme();
    const made = (target: HTMLElement, name: string, grid: Grid | null, zoomed: (zoom: Zoom | null) => void) => {
      target.replaceChildren();
      target.hidden = grid === null;
      return grid ? [createHeatmapView(target, name, grid, theme, content(grid), { select, zoomed, describe })] : [];
    };
    const [grid, { loose: looseGrid }] = [mainGrid(), model!.layout];
    const columns = grid?.numbered ? `the experts of ${view!.opened}` : 'modules';
    const main = made(mainRoot, `Heatmap with layers as rows and ${columns} as columns`, grid, hooks.zoomed);
    const loose = made(looseRoot, 'Heatmap of the matrices outside the layers', looseGrid, () => undefined);
    if (view?.zoom) main[0]?.zoomTo(view.zoom);
    built = { main: grid, loose: looseGrid, heatmaps: [...main, ...loose] };
  };
  const draw = () => {
    const { layout } = model!;
    if (built?.main !== mainGrid() || built.loose !== layout.loose) build();
    else {
      const grids = [built.main, built.loose].filter((grid) => grid !== null);
      for (const [place, heatmap] of built.heatmaps.entries()) heatmap.show(content(grids[place]!));
    }
    listed.show(layout, values!, label, layout.indexOf.get(view!.selected ?? '') ?? -1);
    legend.show(values!, label, layout.groups.length > 0 && !mainGrid()?.numbered);
  };
  const rebuild = () => {
    if (!built) return;
    for (const heatmap of built.heatmaps) heatmap.destroy();
    built = null;
    if (!view!.asTable) draw();
  };
  // What the wheel does is fixed when a chart is created.
  narrowPage.addEventListener('change', rebuild);
  return {
    show(nextModel, nextView) {
      model = nextModel;
      view = nextView;
      values = cellValues(model.layout, model.findings, model.skipped, measureById(view.measure), view.basis);
      pictures.hidden = view.asTable;
      table.element.hidden = !view.asTable;
      if (view.asTable) showTableSoon(() => table.show(model!, view!));
      else draw();
      return values;
    },
    themeChanged: rebuild,
    zoomBy: (factor) => built?.heatmaps[0]?.zoomBy(factor),
    showAll: () => built?.heatmaps[0]?.zoomTo(null),
    wanted(limit) {
      if (!model || !view || view.asTable) return [];
      const seen = [...model.layout.listed, ...(built?.heatmaps ?? []).flatMap((heatmap) => heatmap.visible(limit))];
      return wantedOf(model, seen, view.selected).slice(0, limit);
    },
    picture() {
      if (!built || built.heatmaps.length === 0 || !values?.domain) return null;
      const measure = measureById(view!.measure);
      const basis = isShare(measure, view!.basis)
        ? ` ${BASES.find(({ id }) => id === view!.basis)!.label.toLowerCase()}`
        : '';
      return pictureOf(
        {
          title: `${baseName(model?.checkpoint?.path ?? '')}: ${measure.label}${basis}`,
          canvases: built.heatmaps.map((heatmap) => heatmap.canvas),
          ramp: { canvas: rampCanvas(), low: label(values.domain[0]), high: label(values.domain[1]) },
        },
        readTheme(),
      );
    },
  };
}

function hasRank({ layout, ranks }: Model, index: number): boolean {
  const members = groupAt(layout, index)?.members ?? [index];
  return members.some((member) => Object.hasOwn(ranks, layout.matrices[member]!.name));
}

/** The cell of `grid` that shows the matrix or the group `name`, be it as one of a group; -1 for none. */
function cellShowing(grid: Grid, { layout }: Model, name: string | null): number {
  const index = layout.indexOf.get(name ?? '') ?? -1;
  if (index < 0 || placeIn(grid, index)) return index;
  return layout.groupOf[index] ?? -1;
}
