import { element, setText } from '../ui/dom.ts';
import { hideTip, showTip } from '../ui/tip.ts';
import { type ChartSeries, createPointChart, type PointChart, type PointChartOptions } from './pointChart.ts';

interface PointViewHooks {
  readonly select: (id: string) => void;
  /** Lines of text about a point, its name first. */
  readonly describe: (id: string) => readonly string[];
}

/** A chart of points for pointer, keyboard and screen readers. */
export interface PointView {
  readonly element: HTMLElement;
  readonly canvas: () => HTMLCanvasElement | null;
  /** Draws other points; null where there is nothing to draw, and `reason` says why. */
  show(options: Omit<PointChartOptions, 'onPick'> | null, reason: string): void;
  select(id: string | null): void;
}

export function createPointView(title: string, hooks: PointViewHooks): PointView {
  const heading = element('h2', { text: title });
  const holder = element('div', { class: 'chart-canvas' });
  const tip = element('div', { class: 'tip', attributes: { hidden: '', 'aria-hidden': 'true' } });
  const spoken = element('span', { class: 'visually-hidden', attributes: { 'aria-live': 'polite' } });
  const area = element(
    'div',
    {
      class: 'chart-area',
      attributes: {
        tabindex: '0',
        role: 'application',
        'aria-roledescription': 'chart',
        'aria-label': `${title}. Arrow keys move between points, Enter selects. The table below holds the same numbers.`,
      },
    },
    holder,
    tip,
    spoken,
  );
  const empty = element('p', { class: 'faint chart-empty' });
  const root = element('figure', { class: 'chart' }, heading, area, empty);
  let chart: PointChart | null = null;
  /** The points from left to right, as the arrow keys walk through them. */
  let order: readonly string[] = [];
  let focused: string | null = null;
  let selected: string | null = null;

  const point = (id: string | null) => {
    const at = id === null ? null : chart?.placeOf(id);
    if (id === null || !at) return hideTip(tip);
    showTip(area, tip, hooks.describe(id), at.x, at.y);
  };
  const focus = (id: string | null) => {
    focused = id;
    chart?.select(id ?? selected);
    point(id);
    if (id !== null) setText(spoken, hooks.describe(id).join(', '));
  };
  holder.addEventListener('pointermove', ({ offsetX, offsetY }) => {
    const id = chart?.at(offsetX, offsetY) ?? null;
    holder.classList.toggle('over', id !== null);
    point(id);
  });
  holder.addEventListener('pointerleave', () => hideTip(tip));
  area.addEventListener('keydown', (event) => {
    const at = order.indexOf(focused ?? selected ?? '');
    if (event.key === 'ArrowRight' || event.key === 'ArrowDown')
      focus(order[Math.min(order.length - 1, at + 1)] ?? null);
    else if (event.key === 'ArrowLeft' || event.key === 'ArrowUp') focus(order[Math.max(0, at - 1)] ?? null);
    else if (event.key === 'Home') focus(order[0] ?? null);
    else if (event.key === 'End') focus(order.at(-1) ?? null);
    else if ((event.key === 'Enter' || event.key === ' ') && focused !== null) hooks.select(focused);
    else if (event.key === 'Escape') focus(null);
    else return;
    event.preventDefault();
  });
  area.addEventListener('focus', () => {
    if (area.matches(':focus-visible')) focus(focused ?? selected ?? order[0] ?? null);
  });
  area.addEventListener('blur', () => focus(null));

  return {
    element: root,
    canvas: () => chart?.canvas ?? null,
    show(options, reason) {
      chart?.destroy();
      chart = null;
      hideTip(tip);
      root.classList.toggle('without-points', options === null);
      area.hidden = options === null;
      empty.hidden = options !== null;
      setText(empty, reason);
      order = options ? fromLeft(options.series) : [];
      if (!options) return;
      const canvas = element('canvas', { attributes: { 'aria-hidden': 'true' } });
      holder.replaceChildren(canvas);
      chart = createPointChart(canvas, { ...options, onPick: hooks.select });
      chart.select(selected);
    },
    select(id) {
      selected = id;
      if (focused === null) chart?.select(id);
    },
  };
}

function fromLeft(series: readonly ChartSeries[]): string[] {
  return series
    .flatMap(({ points }) => points)
    .sort((a, b) => a.x - b.x || a.y - b.y)
    .map(({ id }) => id);
}
