import { baseName } from '../../src/base/paths.ts';
import type { CellValues } from '../charts/cells.ts';
import type { Grid } from '../charts/grid.ts';
import { narrowPage, type Zoom } from '../charts/heatmapChart.ts';
import { pictureOf } from '../charts/picture.ts';
import { readTheme } from '../charts/theme.ts';
import { element, throttled } from '../ui/dom.ts';
import { firstPlace } from '../ui/table.ts';
import { cellText, shapeText, shortValue } from './cellText.ts';
import { cellValues } from './cellValues.ts';
import { createHeatmapView, type HeatmapContent, type HeatmapView } from './heatmap.ts';
import type { Layout } from './layout.ts';
import { createLegend, rampCanvas } from './legend.ts';
import { createListed } from './listed.ts';
import { showMatrixTable } from './matrixTable.ts';
import { BASES, isShare, measureById } from './measures.ts';
import type { Model, ViewState } from './state.ts';

interface MapPaneHooks {
  readonly select: (name: string) => void;
  readonly zoomed: (zoom: Zoom | null) => void;
}

export interface MapPane {
  show(model: Model, view: ViewState): void;
  /** Rebuilds the charts, whose colours are fixed. */
  themeChanged(): void;
  zoomBy(factor: number): void;
  showAll(): void;
  /** Names of visible matrices without an exact value. */
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
  const tableRoot = element('div', { class: 'table-root' });
  root.replaceChildren(pictures, tableRoot);

  const legend = createLegend(legendRoot);
  const place = firstPlace();
  let model: Model | null = null;
  let view: ViewState | null = null;
  let values: CellValues | null = null;
  let built: { layout: Layout; heatmaps: HeatmapView[] } | null = null;
  const nameOf = (index: number) => model?.layout.matrices[index]?.name ?? '';
  const select = (index: number) => hooks.select(nameOf(index));
  const describe = (index: number) => linesOf(model!, view!, index);
  const listed = createListed(listedRoot, { select, describe });
  const showTableSoon = throttled(1000, (work: () => void) => work());

  const label = (value: number) => shortValue(measureById(view!.measure), view!.basis, value);
  const content = (): HeatmapContent => ({
    values: values!,
    label,
    selected: model!.layout.indexOf.get(view!.selected ?? '') ?? -1,
    hasRank: (index) => Object.hasOwn(model!.ranks, nameOf(index)),
  });
  const build = (layout: Layout) => {
    for (const heatmap of built?.heatmaps ?? []) heatmap.destroy();
    const theme = readTheme();
    const made = (target: HTMLElement, name: string, grid: Grid | null, zoomed: (zoom: Zoom | null) => void) => {
      target.replaceChildren();
      target.hidden = grid === null;
      return grid ? [createHeatmapView(target, name, grid, theme, content(), { select, zoomed, describe })] : [];
    };
    const main = made(mainRoot, 'Heatmap with layers as rows and modules as columns', layout.main, hooks.zoomed);
    const loose = made(looseRoot, 'Heatmap of the matrices outside the layers', layout.loose, () => undefined);
    if (view?.zoom) main[0]?.zoomTo(view.zoom);
    built = { layout, heatmaps: [...main, ...loose] };
  };
  const draw = () => {
    const selected = content().selected;
    if (built?.layout !== model!.layout) build(model!.layout);
    else for (const heatmap of built.heatmaps) heatmap.show(content());
    listed.show(model!.layout, values!, label, selected);
    legend.show(values!, label);
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
      const names = model.layout.matrices.map(({ name }) => name);
      values = cellValues(names, model.findings, model.skipped, measureById(view.measure), view.basis);
      pictures.hidden = view.asTable;
      tableRoot.hidden = !view.asTable;
      if (view.asTable) showTableSoon(() => showMatrixTable(tableRoot, model!, view!, place, hooks.select));
      else draw();
    },
    themeChanged: rebuild,
    zoomBy: (factor) => built?.heatmaps[0]?.zoomBy(factor),
    showAll: () => built?.heatmaps[0]?.zoomTo(null),
    wanted(limit) {
      if (!model || view?.asTable) return [];
      const seen = [...model.layout.listed, ...(built?.heatmaps ?? []).flatMap((heatmap) => heatmap.visible(limit))];
      return seen
        .map(nameOf)
        .filter((name) => model!.findings.get(name)?.provenance !== 'exact' && !model!.skipped.has(name))
        .slice(0, limit);
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

function linesOf(model: Model, view: ViewState, index: number): string[] {
  const matrix = model.layout.matrices[index]!;
  const measure = measureById(view.measure);
  const text = cellText(matrix, model.findings.get(matrix.name), model.skipped.get(matrix.name), measure, view.basis);
  const rank = Object.hasOwn(model.ranks, matrix.name) ? [`Rank set by hand: ${model.ranks[matrix.name]}`] : [];
  return [matrix.name, shapeText(matrix), `${measure.label}: ${text.value}`, text.status, ...rank];
}
