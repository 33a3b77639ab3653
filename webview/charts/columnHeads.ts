import type { Chart } from 'chart.js';
import { type Grid, splitModule } from './grid.ts';
import type { Theme } from './theme.ts';

/** Height of the line of group names above the column labels. */
export const GROUP_LINE = 18;

/** Neighbouring columns that share a parent module. */
interface Group {
  readonly name: string;
  readonly first: number;
  readonly last: number;
}

export function groupsOf(grid: Grid): Group[] {
  const groups: { name: string; first: number; last: number }[] = [];
  grid.columns.forEach((module, column) => {
    const name = splitModule(module).group;
    const previous = groups.at(-1);
    if (previous?.name === name) previous.last = column;
    else groups.push({ name, first: column, last: column });
  });
  return groups.filter(({ name }) => name !== '');
}

/** Draws the names of module groups (`self_attn`, `mlp`) over a rule that spans their columns. */
export function drawGroups(chart: Chart, groups: readonly Group[], theme: Theme): void {
  const { ctx, chartArea: area } = chart;
  const x = chart.scales.x!;
  ctx.save();
  ctx.font = `11px ${theme.font}`;
  ctx.fillStyle = theme.faint;
  ctx.strokeStyle = theme.grid;
  ctx.textAlign = 'center';
  ctx.textBaseline = 'middle';
  ctx.lineWidth = 1;
  for (const { name, first, last } of groups) {
    const left = Math.max(area.left, x.getPixelForValue(first - 0.5)) + 2;
    const right = Math.min(area.right, x.getPixelForValue(last + 0.5)) - 2;
    if (right - left < 8) continue;
    ctx.beginPath();
    ctx.moveTo(left, GROUP_LINE - 1.5);
    ctx.lineTo(right, GROUP_LINE - 1.5);
    ctx.stroke();
    const text = shortened(ctx, name, right - left);
    if (text) ctx.fillText(text, (left + right) / 2, GROUP_LINE / 2 - 1);
  }
  ctx.restore();
}

/** The longest end of `name` that fits: `mlp.experts.12`, `experts.12` or `12`. Empty if none fits. */
function shortened(ctx: CanvasRenderingContext2D, name: string, width: number): string {
  const parts = name.split('.');
  for (let from = 0; from < parts.length; from++) {
    const text = parts.slice(from).join('.');
    if (ctx.measureText(text).width <= width) return text;
  }
  return '';
}
