import type { ChartConfiguration, ChartDataset, Scale } from 'chart.js';
import { annotationsOf, type Level } from './annotations.ts';
import { isRound } from './axisTicks.ts';
import { Chart } from './chartSetup.ts';
import type { Mark } from './marks.ts';
import type { Theme } from './theme.ts';

/** A measured point with its error bar. */
export interface ChartPoint {
  readonly id: string;
  readonly x: number;
  readonly y: number;
  /** The ends of the error bar; equal to `y` without one. */
  readonly low: number;
  readonly high: number;
}

/** Points of one kind: they share colour and shape, and a line joins them if their order means something. */
export interface ChartSeries {
  readonly points: readonly ChartPoint[];
  readonly color: string;
  readonly shape: 'circle' | 'rectRot' | 'triangle' | 'rect' | 'none';
  readonly joined: boolean;
}

interface Axis {
  readonly title: string;
  readonly log: boolean;
  readonly min?: number;
  readonly max?: number;
  /** Where ticks stand; where they fit by default. */
  readonly ticks?: readonly number[];
  readonly tick: (value: number) => string;
}

export interface PointChartOptions {
  readonly series: readonly ChartSeries[];
  readonly x: Axis;
  readonly y: Axis;
  /** Horizontal lines, such as the dense model. */
  readonly levels: readonly Level[];
  /** Vertical lines, such as a chosen rank. */
  readonly marks?: readonly Mark[];
  readonly theme: Theme;
  readonly onPick: (id: string) => void;
}

/** Points with error bars over two axes, each linear or logarithmic. */
export interface PointChart {
  readonly canvas: HTMLCanvasElement;
  /** Marks one point; null marks none. */
  select(id: string | null): void;
  /** The point within reach of a pixel of the canvas, or null. */
  at(x: number, y: number): string | null;
  /** The place of a point in pixels of the canvas; null for one that the chart does not show. */
  placeOf(id: string): { readonly x: number; readonly y: number } | null;
  destroy(): void;
}

const RADIUS = 4;
/** How far from a point the pointer still reaches it, in pixels. */
const REACH = 14;
/** Half the width of the caps of an error bar, in pixels. */
const CAP = 3;

export function createPointChart(canvas: HTMLCanvasElement, options: PointChartOptions): PointChart {
  const { series, theme } = options;
  let selected: string | null = null;
  const configuration = configure(options);
  configuration.plugins = [
    {
      id: 'errorBars',
      beforeDatasetsDraw: (chart) => {
        for (const { points, color } of series) for (const point of points) drawBar(chart, point, color);
      },
      afterDatasetsDraw: (chart) => {
        const at = selected === null ? null : place(selected);
        if (!at) return;
        const { ctx } = chart;
        ctx.save();
        ctx.strokeStyle = theme.focus;
        ctx.lineWidth = 2;
        ctx.beginPath();
        ctx.arc(at.x, at.y, RADIUS + 4, 0, 2 * Math.PI);
        ctx.stroke();
        ctx.restore();
      },
    },
  ];
  const chart = new Chart(canvas, configuration);
  const all = series.flatMap(({ points }) => points);
  const place = (id: string) => {
    const point = all.find((one) => one.id === id);
    return point
      ? { x: chart.scales.x!.getPixelForValue(point.x), y: chart.scales.y!.getPixelForValue(point.y) }
      : null;
  };
  const at = (x: number, y: number) => {
    let [nearest, least] = [null as string | null, REACH];
    for (const { id } of all) {
      const { x: px, y: py } = place(id)!;
      const distance = Math.hypot(px - x, py - y);
      if (distance <= least) [nearest, least] = [id, distance];
    }
    return nearest;
  };
  return {
    canvas,
    at,
    placeOf: place,
    select(id) {
      selected = id;
      chart.draw();
    },
    destroy: () => chart.destroy(),
  };
}

function drawBar({ ctx, scales, chartArea }: Chart, { x, y, low, high }: ChartPoint, color: string): void {
  if (low === y && high === y) return;
  const at = scales.x!.getPixelForValue(x);
  const inside = (value: number) =>
    Math.min(chartArea.bottom, Math.max(chartArea.top, scales.y!.getPixelForValue(value)));
  const [top, bottom] = [inside(high), inside(low)];
  ctx.save();
  ctx.strokeStyle = color;
  ctx.lineWidth = 1.25;
  ctx.beginPath();
  ctx.moveTo(at, top);
  ctx.lineTo(at, bottom);
  for (const end of [top, bottom]) {
    ctx.moveTo(at - CAP, end);
    ctx.lineTo(at + CAP, end);
  }
  ctx.stroke();
  ctx.restore();
}

function configure(options: PointChartOptions): ChartConfiguration<'scatter', { x: number; y: number }[]> {
  const { series, x, y, levels, marks = [], theme, onPick } = options;
  const font = { size: 11, family: theme.font };
  const rule = { color: theme.grid, lineWidth: 1, drawTicks: false };
  const points = series.flatMap(({ points: own }) => own);
  // Points that no line joins are boxes of their own.
  const curves = series.flatMap(({ points: own, joined }) => (joined ? [own] : own.map((point) => [point, point])));
  const scale = (axis: Axis) => ({
    type: axis.log ? ('logarithmic' as const) : ('linear' as const),
    ...(axis.min === undefined ? {} : { min: axis.min }),
    ...(axis.max === undefined ? {} : { max: axis.max }),
    ...(axis.ticks && {
      afterBuildTicks: (built: Scale) => {
        built.ticks = axis.ticks!.map((value) => ({ value }));
      },
    }),
    title: { display: true, text: axis.title, color: theme.faint, font, padding: 2 },
  });
  return {
    type: 'scatter',
    data: {
      datasets: series.map(
        ({ points: own, color, shape, joined }): ChartDataset<'scatter', { x: number; y: number }[]> => ({
          data: own.map((point) => ({ x: point.x, y: point.y })),
          showLine: joined,
          borderColor: color,
          borderWidth: 1.75,
          backgroundColor: color,
          pointStyle: shape === 'none' ? false : shape,
          pointRadius: shape === 'circle' ? RADIUS : RADIUS + 1,
          pointHoverRadius: RADIUS + 2,
        }),
      ),
    },
    options: {
      animation: false,
      maintainAspectRatio: false,
      // The page has its own tooltip, which the keyboard reaches as well.
      events: ['click'],
      layout: { padding: { right: 10, top: 8 } },
      onClick: (_event, elements) => {
        const [hit] = elements;
        const picked = hit && series[hit.datasetIndex]?.points[hit.index];
        if (picked) onPick(picked.id);
      },
      interaction: { mode: 'nearest', intersect: false },
      scales: {
        x: {
          ...scale(x),
          grid: { ...rule, display: false },
          border: { color: theme.grid },
          ticks: {
            color: theme.faint,
            font,
            maxRotation: 0,
            autoSkipPadding: 14,
            // Round values alone: the ends of an axis lie where the points need room.
            includeBounds: false,
            callback: (value) => tickOf(x, decadesOf(points, 'x'), Number(value)),
          },
        },
        y: {
          ...scale(y),
          grid: rule,
          border: { display: false },
          ticks: {
            color: theme.faint,
            font,
            maxTicksLimit: 7,
            padding: 6,
            includeBounds: false,
            callback: (value) => tickOf(y, decadesOf(points, 'y'), Number(value)),
          },
        },
      },
      plugins: {
        tooltip: { enabled: false },
        annotation: {
          animations: false as never,
          annotations: annotationsOf({ marks, levels, curves, labelled: true, theme }),
        },
        zoom: { zoom: { wheel: { enabled: false }, pinch: { enabled: false } }, pan: { enabled: false } },
      },
    },
  };
}

function tickOf(axis: Axis, decades: number, value: number): string | null {
  return axis.log && !axis.ticks && !isRound(value, decades) ? null : axis.tick(value);
}

function decadesOf(points: readonly ChartPoint[], side: 'x' | 'y'): number {
  const values = points.map((point) => point[side]).filter((value) => value > 0);
  return values.length === 0 ? 0 : Math.log10(Math.max(...values) / Math.min(...values));
}
