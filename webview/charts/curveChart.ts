import type { ChartConfiguration } from 'chart.js';
import type { AnnotationOptions } from 'chartjs-plugin-annotation';
import { formatValue } from '../format.ts';
import { Chart } from './chartSetup.ts';
import { type Mark, roomFor } from './marks.ts';
import type { Theme } from './theme.ts';

/** A curve over the rank, 1 to p, with marks and the place of the slider. */
export interface CurveChart {
  readonly canvas: HTMLCanvasElement;
  /** Moves the line of the chosen rank; nothing but a redraw, so that it keeps up with the slider. */
  setRank(rank: number, pays: boolean): void;
  destroy(): void;
}

export interface CurveOptions {
  readonly points: readonly { readonly x: number; readonly y: number }[];
  readonly fullRank: number;
  readonly logRank: boolean;
  readonly vertical: {
    readonly log: boolean;
    readonly min?: number;
    readonly max?: number;
    readonly title: string;
    readonly tick: (value: number) => string;
  };
  readonly marks: readonly Mark[];
  /** A horizontal line, such as the noise edge. */
  readonly level?: { readonly value: number; readonly label: string; readonly color: string };
  /** Whether marks carry their labels: one of two stacked charts does. */
  readonly labelled: boolean;
  readonly rankAxis: boolean;
  readonly tooltip: (rank: number) => string;
  readonly theme: Theme;
  readonly onPick: (rank: number) => void;
}

export function createCurve(canvas: HTMLCanvasElement, options: CurveOptions): CurveChart {
  const { theme, fullRank } = options;
  let rank = 0;
  let pays = true;
  const configuration = configure(options);
  configuration.plugins = [
    {
      id: 'chosenRank',
      beforeDatasetsDraw: ({ ctx, chartArea: area, scales }) => {
        if (rank < 1) return;
        const at = scales.x!.getPixelForValue(Math.min(rank, fullRank));
        ctx.save();
        // What would be cut away is veiled, so that "kept" and "lost" are seen as areas.
        ctx.globalAlpha = theme.highContrast ? 0.28 : 0.1;
        ctx.fillStyle = pays ? theme.foreground : theme.error;
        ctx.fillRect(at, area.top, area.right - at, area.height);
        ctx.globalAlpha = 1;
        ctx.strokeStyle = pays ? theme.marks.rank : theme.error;
        ctx.lineWidth = 2;
        ctx.beginPath();
        ctx.moveTo(at, area.top);
        ctx.lineTo(at, area.bottom);
        ctx.stroke();
        ctx.restore();
      },
    },
  ];
  const chart = new Chart(canvas, configuration);
  return {
    canvas,
    setRank(next, nextPays) {
      rank = next;
      pays = nextPays;
      chart.draw();
    },
    destroy: () => chart.destroy(),
  };
}

function configure(options: CurveOptions): ChartConfiguration<'line', { x: number; y: number }[]> {
  const { theme, vertical, fullRank, logRank } = options;
  const font = { size: 11, family: theme.font };
  const rule = { color: theme.grid, lineWidth: 1, drawTicks: false };
  return {
    type: 'line',
    data: {
      datasets: [
        {
          data: [...options.points],
          borderColor: theme.line,
          borderWidth: 1.75,
          pointRadius: 0,
          pointHitRadius: 0,
          pointHoverRadius: 3,
          pointHoverBackgroundColor: theme.line,
          fill: false,
        },
      ],
    },
    options: {
      animation: false,
      maintainAspectRatio: false,
      normalized: true,
      parsing: false,
      interaction: { mode: 'nearest', axis: 'x', intersect: false },
      layout: { padding: { right: 6, top: 4 } },
      onClick: (event, _elements, chart) => {
        const at = chart.scales.x!.getValueForPixel(event.x ?? 0);
        if (at !== undefined) options.onPick(Math.round(Math.min(fullRank, Math.max(1, at))));
      },
      scales: {
        x: {
          type: logRank ? 'logarithmic' : 'linear',
          min: logRank ? 1 : 0,
          max: fullRank,
          grid: { ...rule, display: false },
          border: { color: theme.grid },
          ticks: {
            display: options.rankAxis,
            color: theme.faint,
            font,
            maxRotation: 0,
            autoSkipPadding: 16,
            callback: (value) => rankTick(Number(value), logRank, fullRank),
          },
          title: { display: options.rankAxis, text: 'Rank', color: theme.faint, font, padding: 0 },
        },
        y: {
          type: vertical.log ? 'logarithmic' : 'linear',
          ...(vertical.min === undefined ? {} : { min: vertical.min }),
          ...(vertical.max === undefined ? {} : { max: vertical.max }),
          grid: rule,
          border: { display: false },
          // The same width in both charts keeps their ranks one above the other.
          afterFit: (scale) => {
            scale.width = 58;
          },
          ticks: {
            color: theme.faint,
            font,
            maxTicksLimit: 6,
            padding: 6,
            callback: (value) => (vertical.log && !isDecade(Number(value)) ? null : vertical.tick(Number(value))),
          },
          title: { display: true, text: vertical.title, color: theme.faint, font, padding: 0 },
        },
      },
      plugins: {
        tooltip: {
          displayColors: false,
          backgroundColor: theme.background,
          borderColor: theme.faint,
          borderWidth: 1,
          titleColor: theme.foreground,
          bodyColor: theme.foreground,
          cornerRadius: 3,
          caretSize: 0,
          bodyFont: font,
          callbacks: { title: () => '', label: (item) => options.tooltip(item.parsed.x ?? 0) },
        },
        annotation: { animations: false as never, annotations: annotationsOf(options) },
        zoom: { zoom: { wheel: { enabled: false }, pinch: { enabled: false } }, pan: { enabled: false } },
      },
    },
  };
}

function annotationsOf({ marks, level, labelled, theme }: CurveOptions): Record<string, AnnotationOptions> {
  const font = { size: 10, family: theme.font, weight: 'normal' } as const;
  const annotations: Record<string, AnnotationOptions> = {};
  marks.forEach((mark, index) => {
    annotations[`mark${index}`] = {
      type: 'line',
      scaleID: 'x',
      value: mark.rank,
      borderColor: mark.color,
      borderWidth: 1,
      borderDash: [...mark.dash],
      label: {
        display: ({ chart }) =>
          labelled &&
          roomFor(
            marks.map(({ rank }) => chart.scales.x!.getPixelForValue(rank)),
            13,
          )[index]!,
        content: mark.label,
        position: 'end',
        rotation: -90,
        xAdjust: -7,
        backgroundColor: 'transparent',
        color: mark.color,
        font,
        padding: 2,
      },
    };
  });
  if (level && level.value > 0) {
    annotations.level = {
      type: 'line',
      scaleID: 'y',
      value: level.value,
      borderColor: level.color,
      borderWidth: 1,
      borderDash: [2, 2],
      label: {
        display: true,
        content: `${level.label} ${formatValue(level.value)}`,
        position: 'start',
        yAdjust: 8,
        backgroundColor: 'transparent',
        color: level.color,
        font,
        padding: 2,
      },
    };
  }
  return annotations;
}

function rankTick(value: number, logRank: boolean, fullRank: number): string | null {
  if (!Number.isInteger(value)) return null;
  if (!logRank) return String(value);
  const leading = value / 10 ** Math.floor(Math.log10(value) + 1e-9);
  return [1, 2, 5].includes(Math.round(leading * 1e6) / 1e6) || value === fullRank ? String(value) : null;
}

function isDecade(value: number): boolean {
  const power = Math.log10(value);
  return Math.abs(power - Math.round(power)) < 1e-9;
}
