import type { Chart } from 'chart.js';
import { inkOn } from '../ui/colorScale.ts';
import { CELL, type CellValues } from './cells.ts';
import { cellAt, type Grid } from './grid.ts';
import type { Theme } from './theme.ts';

/** What the heatmap shows. */
export interface Scene {
  readonly grid: Grid;
  /** One pixel per cell. */
  readonly image: OffscreenCanvas;
  readonly values: CellValues;
  /** The shortest text of a value. */
  readonly label: (value: number) => string;
  readonly hasRank: (index: number) => boolean;
  /** Indices of matrices, -1 for none. */
  readonly selected: number;
  readonly focused: number;
}

/** The cells inside the chart's area: first row and column, and the ones after the last. */
export interface CellRange {
  readonly top: number;
  readonly bottom: number;
  readonly left: number;
  readonly right: number;
}

export function visibleRange(chart: Chart, grid: Grid): CellRange {
  const { x, y } = chart.scales;
  return {
    left: Math.max(0, Math.floor(x!.min + 0.5)),
    right: Math.min(grid.width, Math.ceil(x!.max + 0.5)),
    top: Math.max(0, Math.floor(y!.min + 0.5)),
    bottom: Math.min(grid.rows.length, Math.ceil(y!.max + 0.5)),
  };
}

/** Smallest cell, in CSS pixels, with a gap, hatching or a cross; in smaller ones they would cover the colour. */
const DETAILED_CELL = 6;
/** Labelled cells at most: more slow a frame down and cannot be read anyway. */
const LABELLED_LIMIT = 1500;

export function drawCells(chart: Chart, scene: Scene, theme: Theme): void {
  const { ctx, chartArea: area } = chart;
  const range = visibleRange(chart, scene.grid);
  const xAt = (column: number) => chart.scales.x!.getPixelForValue(column - 0.5);
  const yAt = (row: number) => chart.scales.y!.getPixelForValue(row - 0.5);
  const width = xAt(1) - xAt(0);
  const height = yAt(1) - yAt(0);
  ctx.save();
  ctx.beginPath();
  ctx.rect(area.left, area.top, area.width, area.height);
  ctx.clip();
  // Cells smaller than a pixel are averaged; larger ones keep their edges.
  ctx.imageSmoothingEnabled = width < 1 || height < 1;
  const [columns, rows] = [range.right - range.left, range.bottom - range.top];
  if (columns > 0 && rows > 0) {
    ctx.drawImage(
      scene.image,
      range.left,
      range.top,
      columns,
      rows,
      xAt(range.left),
      yAt(range.top),
      columns * width,
      rows * height,
    );
    const geometry = { ctx, range, xAt, yAt, width, height };
    if (Math.min(width, height) >= DETAILED_CELL) {
      drawStates(geometry, scene, theme);
      drawGaps(geometry, scene, theme);
      if (columns * rows <= LABELLED_LIMIT) drawLabels(geometry, scene, theme);
      drawSpreads(geometry, scene);
      drawRankMarks(geometry, scene, theme);
    }
  }
  ctx.restore();
  outline(chart, scene, scene.selected, theme.foreground, 2, { xAt, yAt, theme });
  outline(chart, scene, scene.focused, theme.focus, 2, { xAt, yAt, theme });
}

interface Geometry {
  readonly ctx: CanvasRenderingContext2D;
  readonly range: CellRange;
  readonly xAt: (column: number) => number;
  readonly yAt: (row: number) => number;
  readonly width: number;
  readonly height: number;
}

function forEachCell(
  { range }: Geometry,
  grid: Grid,
  work: (index: number, row: number, column: number) => void,
): void {
  for (let row = range.top; row < range.bottom; row++) {
    for (let column = range.left; column < range.right; column++) {
      const index = cellAt(grid, row, column);
      if (index >= 0) work(index, row, column);
    }
  }
}

/** Hatches previewed cells and crosses skipped ones, so that they differ without colour. */
function drawStates(geometry: Geometry, { grid, values }: Scene, theme: Theme): void {
  const { ctx, xAt, yAt, width, height } = geometry;
  const hatched = new Path2D();
  const crossed = new Path2D();
  forEachCell(geometry, grid, (index, row, column) => {
    if (values.states[index] === CELL.preview) hatched.rect(xAt(column), yAt(row), width, height);
    else if (values.states[index] === CELL.skipped) {
      const [middleX, middleY] = [xAt(column) + width / 2, yAt(row) + height / 2];
      const arm = Math.min(width, height, 14) / 2 - 2;
      crossed.moveTo(middleX - arm, middleY - arm);
      crossed.lineTo(middleX + arm, middleY + arm);
      crossed.moveTo(middleX + arm, middleY - arm);
      crossed.lineTo(middleX - arm, middleY + arm);
    }
  });
  ctx.fillStyle = hatching(ctx);
  ctx.fill(hatched);
  ctx.strokeStyle = theme.faint;
  ctx.lineWidth = 1.2;
  ctx.stroke(crossed);
}

/** Dark and light diagonals side by side: one of them stands out on any colour of the scale. */
function hatching(ctx: CanvasRenderingContext2D): CanvasPattern {
  const size = 8;
  const tile = new OffscreenCanvas(size, size);
  const pen = tile.getContext('2d')!;
  pen.lineWidth = 1;
  for (const [color, shift] of [
    ['rgba(0, 0, 0, 0.5)', 0],
    ['rgba(255, 255, 255, 0.5)', 1.4],
  ] as const) {
    pen.strokeStyle = color;
    pen.beginPath();
    for (const offset of [-size, 0, size]) {
      pen.moveTo(offset + shift - 1, size + 1);
      pen.lineTo(offset + shift + size + 1, -1);
    }
    pen.stroke();
  }
  return ctx.createPattern(tile, 'repeat')!;
}

function drawGaps({ ctx, range, xAt, yAt }: Geometry, { grid }: Scene, theme: Theme): void {
  ctx.strokeStyle = theme.background;
  ctx.lineWidth = 1;
  ctx.beginPath();
  for (let column = range.left; column <= range.right; column++) {
    ctx.moveTo(Math.round(xAt(column)) + 0.5, yAt(range.top));
    ctx.lineTo(Math.round(xAt(column)) + 0.5, yAt(range.bottom));
  }
  for (let row = range.top; row <= range.bottom; row++) {
    ctx.moveTo(xAt(range.left), Math.round(yAt(row)) + 0.5);
    ctx.lineTo(xAt(range.right), Math.round(yAt(row)) + 0.5);
  }
  ctx.stroke();
  // A wider gap separates the stacks.
  ctx.lineWidth = 5;
  ctx.beginPath();
  for (const row of grid.breaks.filter((first) => first > range.top && first < range.bottom)) {
    ctx.moveTo(xAt(range.left), Math.round(yAt(row)) + 0.5);
    ctx.lineTo(xAt(range.right), Math.round(yAt(row)) + 0.5);
  }
  ctx.stroke();
}

function drawLabels(geometry: Geometry, { grid, values, label }: Scene, theme: Theme): void {
  const { ctx, xAt, yAt, width, height } = geometry;
  if (width < 30 || height < 14) return;
  ctx.font = `11px ${theme.font}`;
  ctx.textAlign = 'center';
  ctx.textBaseline = 'middle';
  forEachCell(geometry, grid, (index, row, column) => {
    const share = values.shares[index]!;
    // Digits on hatching are unreadable.
    if (Number.isNaN(share) || values.states[index] === CELL.preview) return;
    const text = label(values.values[index]!);
    if (ctx.measureText(text).width > width - 6) return;
    ctx.fillStyle = inkOn(share);
    const lifted = values.spreads.has(index) && height >= SPREAD_CELL.height ? 2 : 0;
    ctx.fillText(text, xAt(column) + width / 2, yAt(row) + height / 2 + 0.5 - lifted);
  });
}

/** Smallest cell with room for a spread under its digits, in CSS pixels. */
const SPREAD_CELL = { width: 24, height: 16 };

/** Draws how the experts of a group spread: a bar between their quartiles, the cell's width being the colour scale. */
function drawSpreads(geometry: Geometry, { grid, values }: Scene): void {
  const { ctx, xAt, yAt, width, height } = geometry;
  if (width < SPREAD_CELL.width || height < SPREAD_CELL.height) return;
  const inset = 4;
  const span = width - 2 * inset;
  forEachCell(geometry, grid, (index, row, column) => {
    const spread = values.spreads.get(index);
    if (!spread) return;
    const [low, high] = spread.quartiles;
    const left = xAt(column) + inset;
    const middle = left + span * values.shares[index]!;
    const y = yAt(row) + height - 6;
    ctx.fillStyle = inkOn(values.shares[index]!);
    ctx.globalAlpha = 0.35;
    ctx.fillRect(left, y, span, 1);
    ctx.globalAlpha = 1;
    ctx.fillRect(left + span * low, y - 1, Math.max(2, span * (high - low)), 3);
    ctx.fillRect(middle - 1, y - 2.5, 2, 6);
  });
}

/** Marks cells whose rank was set by hand with a small corner. */
function drawRankMarks(geometry: Geometry, { grid, hasRank, values }: Scene, theme: Theme): void {
  const { ctx, xAt, yAt, width, height } = geometry;
  const size = Math.min(9, width / 2, height / 2);
  forEachCell(geometry, grid, (index, row, column) => {
    if (!hasRank(index)) return;
    const right = xAt(column) + width;
    const share = values.shares[index]!;
    ctx.fillStyle = Number.isNaN(share) ? theme.foreground : inkOn(share);
    ctx.beginPath();
    ctx.moveTo(right - size, yAt(row));
    ctx.lineTo(right, yAt(row));
    ctx.lineTo(right, yAt(row) + size);
    ctx.fill();
  });
}

function outline(
  chart: Chart,
  { grid }: Scene,
  index: number,
  color: string,
  lineWidth: number,
  { xAt, yAt, theme }: Pick<Geometry, 'xAt' | 'yAt'> & { theme: Theme },
): void {
  const cell = index < 0 ? -1 : grid.cells.indexOf(index);
  if (cell < 0) return;
  const [row, column] = [Math.floor(cell / grid.width), cell % grid.width];
  const { ctx, chartArea: area } = chart;
  // The outline of a small cell is drawn around it.
  const grow = Math.max(0, (DETAILED_CELL + 2 - Math.min(xAt(1) - xAt(0), yAt(1) - yAt(0))) / 2);
  const box = [
    xAt(column) - grow,
    yAt(row) - grow,
    xAt(column + 1) - xAt(column) + 2 * grow,
    yAt(row + 1) - yAt(row) + 2 * grow,
  ] as const;
  ctx.save();
  ctx.beginPath();
  ctx.rect(area.left - 3, area.top - 3, area.width + 6, area.height + 6);
  ctx.clip();
  ctx.lineWidth = lineWidth + 2;
  ctx.strokeStyle = theme.background;
  ctx.strokeRect(...box);
  ctx.lineWidth = lineWidth;
  ctx.strokeStyle = color;
  ctx.strokeRect(...box);
  ctx.restore();
}
