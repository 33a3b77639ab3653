import { element, setText } from '../ui/dom.ts';
import { hideTip, showTip } from '../ui/tip.ts';
import type { CellValues } from './cells.ts';
import { cellAt, type Grid, placeIn, step } from './grid.ts';
import { createHeatmap, type HeatmapChart, rowLabelWidth, type Zoom } from './heatmapChart.ts';
import type { Theme } from './theme.ts';

/** A heatmap for pointer, keyboard and screen readers. */
export interface HeatmapView {
  readonly canvas: HTMLCanvasElement;
  show(change: HeatmapContent): void;
  zoomTo(zoom: Zoom | null): void;
  zoomBy(factor: number): void;
  /** Indices of the visible matrices in reading order, at most `limit`. */
  visible(limit: number): number[];
  destroy(): void;
}

export interface HeatmapContent {
  readonly values: CellValues;
  readonly label: (value: number) => string;
  readonly selected: number;
  readonly hasRank: (index: number) => boolean;
}

export interface HeatmapHooks {
  readonly select: (index: number) => void;
  readonly zoomed: (zoom: Zoom | null) => void;
  /** Lines of text about a matrix, its name first. */
  readonly describe: (index: number) => readonly string[];
}

/** Largest cell, in pixels, so that a model with three layers does not become three walls of colour. */
const LARGEST_CELL = { width: 132, height: 38 };
const COLUMN_LABELS = 64;

export function createHeatmapView(
  root: HTMLElement,
  name: string,
  grid: Grid,
  theme: Theme,
  content: HeatmapContent,
  hooks: HeatmapHooks,
): HeatmapView {
  const canvas = element('canvas', { attributes: { 'aria-hidden': 'true' } });
  const tip = element('div', { class: 'tip', attributes: { hidden: '', 'aria-hidden': 'true' } });
  const spoken = element('span', { class: 'visually-hidden', attributes: { 'aria-live': 'polite' } });
  const map = element(
    'div',
    {
      class: 'map',
      attributes: {
        tabindex: '0',
        role: 'application',
        'aria-roledescription': 'heatmap',
        'aria-label': `${name}. Arrow keys move between cells, Enter selects, plus and minus zoom, 0 shows all.`,
      },
    },
    element('div', { class: 'map-canvas' }, canvas),
    tip,
    spoken,
  );
  const unit = grid.kind === 'layers' ? LARGEST_CELL : { width: 22, height: 22 };
  map.style.maxWidth = `${grid.width * unit.width + rowLabelWidth(grid) + 15}px`;
  root.style.flexBasis = `${grid.rows.length * unit.height + COLUMN_LABELS}px`;
  root.replaceChildren(map);

  const chart = createHeatmap(canvas, grid, content.values, { theme, label: content.label, onZoom: hooks.zoomed });
  let current = content;
  let focus: { row: number; column: number } | null = null;
  const show = (change: HeatmapContent) => {
    const repaint = change.values !== current.values;
    current = change;
    chart.show({
      ...(repaint ? { values: change.values } : {}),
      label: change.label,
      hasRank: change.hasRank,
      selected: change.selected,
    });
  };
  chart.show({ hasRank: content.hasRank, selected: content.selected });

  const moveFocus = (to: { row: number; column: number } | null) => {
    focus = to;
    const index = to ? cellAt(grid, to.row, to.column) : -1;
    if (to) chart.reveal(to.row, to.column);
    chart.show({ focused: index });
    if (!to || index < 0) return hideTip(tip);
    const lines = hooks.describe(index);
    setText(spoken, lines.join(', '));
    const at = chart.centre(to.row, to.column);
    showTip(map, tip, lines, at.x, at.y);
  };
  pointer(map, canvas, tip, chart, hooks);
  map.addEventListener('keydown', (event) => {
    const index = focus ? cellAt(grid, focus.row, focus.column) : -1;
    if ((event.key === 'Enter' || event.key === ' ') && index >= 0) hooks.select(index);
    else if (event.key === '+' || event.key === '=') chart.zoomBy(1.4);
    else if (event.key === '-') chart.zoomBy(1 / 1.4);
    else if (event.key === '0') chart.zoomTo(null);
    else if (event.key === 'Escape') hideTip(tip);
    else {
      const next = moved(grid, focus ?? startOf(grid, current.selected), event.key);
      if (!next) return;
      moveFocus(next);
    }
    event.preventDefault();
  });
  map.addEventListener('focus', () => {
    // A click also sets the focus, but selects its own cell.
    if (map.matches(':focus-visible')) moveFocus(focus ?? startOf(grid, current.selected));
  });
  map.addEventListener('blur', () => {
    chart.show({ focused: -1 });
    hideTip(tip);
  });
  return {
    canvas,
    show,
    zoomTo: chart.zoomTo,
    zoomBy: chart.zoomBy,
    visible: (limit) => inSight(grid, chart, limit),
    destroy: chart.destroy,
  };
}

/** How far the pointer may move during a click, in pixels. */
const CLICK_SLACK = 5;

function pointer(
  map: HTMLElement,
  canvas: HTMLCanvasElement,
  tip: HTMLElement,
  chart: HeatmapChart,
  hooks: HeatmapHooks,
): void {
  let pressed: { x: number; y: number } | null = null;
  canvas.addEventListener('pointerdown', (event) => {
    pressed = { x: event.offsetX, y: event.offsetY };
  });
  canvas.addEventListener('click', (event) => {
    const index = chart.at(event.offsetX, event.offsetY);
    const still = pressed && Math.hypot(event.offsetX - pressed.x, event.offsetY - pressed.y) <= CLICK_SLACK;
    if (index >= 0 && still) hooks.select(index);
  });
  canvas.addEventListener('pointermove', (event) => {
    const index = chart.at(event.offsetX, event.offsetY);
    canvas.classList.toggle('over', index >= 0);
    if (index < 0 || event.buttons !== 0) hideTip(tip);
    else showTip(map, tip, hooks.describe(index), event.offsetX, event.offsetY);
  });
  canvas.addEventListener('pointerleave', () => hideTip(tip));
}

function startOf(grid: Grid, selected: number): { row: number; column: number } | null {
  return placeIn(grid, selected) ?? step(grid, { row: 0, column: -1 }, 0, 1);
}

const ARROWS: Readonly<Record<string, readonly [number, number]>> = {
  ArrowUp: [-1, 0],
  ArrowDown: [1, 0],
  ArrowLeft: [0, -1],
  ArrowRight: [0, 1],
};

function moved(
  grid: Grid,
  from: { row: number; column: number } | null,
  key: string,
): { row: number; column: number } | null {
  if (!from) return null;
  const arrow = ARROWS[key];
  if (arrow) return step(grid, from, ...arrow) ?? from;
  if (key === 'Home') return step(grid, { row: from.row, column: -1 }, 0, 1);
  if (key === 'End') return step(grid, { row: from.row, column: grid.width }, 0, -1);
  if (key === 'PageUp') return step(grid, { row: Math.max(0, from.row - 10) - 1, column: from.column }, 1, 0);
  if (key === 'PageDown')
    return step(grid, { row: Math.min(grid.rows.length, from.row + 11), column: from.column }, -1, 0);
  return null;
}

function inSight(grid: Grid, chart: HeatmapChart, limit: number): number[] {
  const { top, bottom, left, right } = chart.visible();
  const found: number[] = [];
  for (let row = top; row < bottom; row++) {
    for (let column = left; column < right && found.length < limit; column++) {
      const index = cellAt(grid, row, column);
      if (index >= 0) found.push(index);
    }
  }
  return found;
}
