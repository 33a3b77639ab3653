import type { ChartConfiguration, Scale } from 'chart.js';
import { type CellValues, paintCells } from './cells.ts';
import { Chart } from './chartSetup.ts';
import { drawGroups, GROUP_LINE, groupsOf } from './columnHeads.ts';
import { type CellRange, drawCells, type Scene, visibleRange } from './drawCells.ts';
import { cellAt, type Grid, splitModule } from './grid.ts';
import { colorBytes, type Theme } from './theme.ts';

/** The visible part of a grid, in cells. */
export interface Zoom {
  readonly x: readonly [number, number];
  readonly y: readonly [number, number];
}

/**
 * A heatmap on a canvas: a stretched image of the cells below an empty scatter chart, which adds axes, zoom and pan.
 */
export interface HeatmapChart {
  readonly canvas: HTMLCanvasElement;
  /** Index of the matrix under a pixel of the canvas, or -1. */
  at(x: number, y: number): number;
  /** Centre of a cell in pixels of the canvas. */
  centre(row: number, column: number): { x: number; y: number };
  visible(): CellRange;
  /** Changes values, marks or labels; the image is repainted only for new values. */
  show(change: Partial<Omit<Scene, 'grid' | 'image'>>): void;
  zoomBy(factor: number): void;
  zoomTo(zoom: Zoom | null): void;
  /** Scrolls a cell into view. */
  reveal(row: number, column: number): void;
  destroy(): void;
}

/** Whether the panes are stacked. Then the wheel scrolls the page, and zooms only with Ctrl. */
export const narrowPage = window.matchMedia('(max-width: 860px)');

export interface HeatmapOptions {
  readonly theme: Theme;
  readonly label: (value: number) => string;
  readonly onZoom: (zoom: Zoom | null) => void;
}

export function createHeatmap(
  canvas: HTMLCanvasElement,
  grid: Grid,
  values: CellValues,
  options: HeatmapOptions,
): HeatmapChart {
  const { theme } = options;
  const neutral = { pending: colorBytes(theme.pending), skipped: colorBytes(theme.skipped) };
  const image = new OffscreenCanvas(grid.width, grid.rows.length);
  let scene: Scene = {
    grid,
    image,
    values,
    label: options.label,
    hasRank: () => false,
    selected: -1,
    focused: -1,
  };
  const paint = () =>
    image
      .getContext('2d')!
      .putImageData(new ImageData(paintCells(grid.cells, scene.values, neutral), grid.width, grid.rows.length), 0, 0);
  paint();
  const groups = groupsOf(grid);
  const full: Zoom = { x: [-0.5, grid.width - 0.5], y: [-0.5, grid.rows.length - 0.5] };
  const current = (): Zoom => ({
    x: [chart.scales.x!.min, chart.scales.x!.max],
    y: [chart.scales.y!.min, chart.scales.y!.max],
  });
  const tellZoom = () => options.onZoom(isFull(current(), full) ? null : current());
  const configuration = configure(grid, full, theme, groups.length > 0, tellZoom);
  configuration.plugins = [
    {
      id: 'cells',
      beforeDatasetsDraw: (drawn) => drawCells(drawn, scene, theme),
      afterDraw: (drawn) => drawGroups(drawn, groups, theme),
    },
  ];
  const chart = new Chart(canvas, configuration);
  const zoomTo = (zoom: Zoom | null) => {
    const { x, y } = zoom ?? full;
    chart.zoomScale('x', { min: x[0], max: x[1] }, 'none');
    chart.zoomScale('y', { min: y[0], max: y[1] }, 'none');
    tellZoom();
  };
  return {
    canvas,
    at: (x, y) => {
      const { left, right, top, bottom } = chart.chartArea;
      if (x < left || x > right || y < top || y > bottom) return -1;
      const row = Math.round(chart.scales.y!.getValueForPixel(y) ?? -1);
      return cellAt(grid, row, Math.round(chart.scales.x!.getValueForPixel(x) ?? -1));
    },
    centre: (row, column) => ({
      x: chart.scales.x!.getPixelForValue(column),
      y: chart.scales.y!.getPixelForValue(row),
    }),
    visible: () => visibleRange(chart, grid),
    show(change) {
      scene = { ...scene, ...change };
      if (change.values) paint();
      chart.draw();
    },
    zoomBy(factor) {
      chart.zoom(factor, 'none');
      tellZoom();
    },
    zoomTo,
    reveal(row, column) {
      const { x, y } = current();
      zoomTo({ x: shifted(x, column, full.x), y: shifted(y, row, full.y) });
    },
    destroy: () => chart.destroy(),
  };
}

function isFull(zoom: Zoom, full: Zoom): boolean {
  const spans = (a: readonly [number, number], b: readonly [number, number]) =>
    a[0] <= b[0] + 1e-6 && a[1] >= b[1] - 1e-6;
  return spans(zoom.x, full.x) && spans(zoom.y, full.y);
}

/** `range` moved just far enough to contain the cell at `index`, but not beyond `full`. */
function shifted(range: readonly [number, number], index: number, full: readonly [number, number]): [number, number] {
  const under = Math.min(0, index - 0.5 - range[0]);
  const over = Math.max(0, index + 0.5 - range[1]);
  const shift = Math.max(full[0] - range[0], Math.min(full[1] - range[1], under + over));
  return [range[0] + shift, range[1] + shift];
}

/** Longest row label in characters. */
const LONGEST_LABEL = 26;
/** Approximate width of the row labels, and the narrowest column with room for an upright label, in pixels. */
const ROW_LABELS = 55;
const NARROW_LABEL = 12;
/** With more columns than this, labels are upright: slanted ones would cover their neighbours. */
const UPRIGHT_FROM = 20;
const FONT_SIZE = 11;

function configure(
  grid: Grid,
  full: Zoom,
  theme: Theme,
  hasGroups: boolean,
  onZoom: () => void,
): ChartConfiguration<'scatter'> {
  // Where only every third label has room, it would seem to name all three columns, so only the group is named.
  function columnLabel(this: Scale, value: number | string): string | null {
    const width = (this.chart.width - rowLabelWidth(grid)) / (this.max - this.min);
    return hasGroups && width < NARROW_LABEL && !grid.numbered
      ? null
      : splitModule(grid.columns[Number(value)] ?? '').label;
  }
  const axis = { type: 'linear', grid: { display: false }, border: { display: false } } as const;
  const font = { size: FONT_SIZE, family: theme.font };
  const ticks = { color: theme.faint, font, autoSkipPadding: 4 };
  const upright = grid.width > UPRIGHT_FROM && !grid.numbered;
  const labelled = grid.kind === 'layers';
  return {
    type: 'scatter',
    data: { datasets: [] },
    options: {
      animation: false,
      maintainAspectRatio: false,
      events: [],
      layout: { padding: { top: hasGroups ? GROUP_LINE : 0, right: 4, bottom: 4, left: 0 } },
      scales: {
        x: {
          ...axis,
          position: 'top',
          min: full.x[0],
          max: full.x[1],
          display: labelled,
          afterBuildTicks: wholeTicks,
          ticks: {
            ...ticks,
            callback: columnLabel,
            minRotation: upright ? 90 : 0,
            // The library places upright labels one line height beside their ticks.
            labelOffset: upright ? FONT_SIZE * 1.2 : 0,
            maxRotation: grid.numbered ? 0 : 90,
            padding: 2,
          },
        },
        y: {
          ...axis,
          reverse: true,
          min: full.y[0],
          max: full.y[1],
          afterBuildTicks: wholeTicks,
          ticks: { ...ticks, callback: (value) => shortRow(grid.rows[Number(value)] ?? ''), padding: 4 },
          title: { display: labelled, text: 'Layer', color: theme.faint, font },
        },
      },
      plugins: {
        tooltip: { enabled: false },
        zoom: {
          limits: {
            x: { min: full.x[0], max: full.x[1], minRange: Math.min(2, full.x[1] - full.x[0]) },
            y: { min: full.y[0], max: full.y[1], minRange: Math.min(4, full.y[1] - full.y[0]) },
          },
          zoom: {
            wheel: { enabled: true, speed: 0.15, ...(narrowPage.matches ? { modifierKey: 'ctrl' as const } : {}) },
            pinch: { enabled: true },
            mode: 'xy',
            onZoomComplete: onZoom,
          },
          pan: { enabled: true, mode: 'xy', threshold: 6, onPanComplete: onZoom },
        },
      },
    },
  };
}

/** Keeps the end, which tells the rows of a stack apart. */
function shortRow(label: string): string {
  return label.length <= LONGEST_LABEL ? label : `…${label.slice(1 - LONGEST_LABEL)}`;
}

/** Width of the row labels of a grid with the axis around them, in pixels. */
export function rowLabelWidth({ rows }: Grid): number {
  const longest = rows.reduce((length, label) => Math.max(length, label.length), 0);
  return ROW_LABELS + Math.max(0, Math.min(longest, LONGEST_LABEL) - 3) * FONT_SIZE * 0.55;
}

/** Puts a tick in the middle of each visible cell; the library then omits labels without room. */
function wholeTicks(scale: Scale): void {
  const first = Math.ceil(scale.min);
  const last = Math.floor(scale.max);
  const step = Math.max(1, Math.ceil((last - first) / 400));
  scale.ticks = [];
  for (let value = first; value <= last; value += step) scale.ticks.push({ value });
}
