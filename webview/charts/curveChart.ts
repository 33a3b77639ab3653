import type { ChartConfiguration } from 'chart.js';
import { annotationsOf, type Level } from './annotations.ts';
import { isRound } from './axisTicks.ts';
import { Chart } from './chartSetup.ts';
import type { Mark } from './marks.ts';
import type { Theme } from './theme.ts';

/** A curve over the rank, 1 to p, with marks and the slider's position. */
export interface CurveChart {
  readonly canvas: HTMLCanvasElement;
  /** Moves the line of the current rank. Only redraws, to keep up with the slider. */
  setRank(rank: number, pays: boolean): void;
  destroy(): void;
}

interface Point {
  readonly x: number;
  readonly y: number;
}

export interface CurveOptions {
  readonly points: readonly Point[];
  /** A second curve over the same axes, dashed. */
  readonly second?: readonly Point[] | undefined;
  readonly fullRank: number;
  readonly logRank: boolean;
  readonly vertical: {
    readonly log: boolean;
    /** How many decades a logarithmic axis spans. */
    readonly decades?: number;
    readonly min?: number;
    readonly max?: number;
    readonly title: string;
    readonly tick: (value: number) => string;
  };
  readonly marks: readonly Mark[];
  /** Horizontal lines, such as the noise edge. */
  readonly levels?: readonly Level[];
  /** Whether marks have labels, as in one of two stacked charts. */
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
      id: 'currentRank',
      beforeDatasetsDraw: ({ ctx, chartArea: area, scales }) => {
        if (rank < 1) return;
        const at = scales.x!.getPixelForValue(Math.min(rank, fullRank));
        ctx.save();
        // A veil over what would be cut off shows "kept" and "lost" as areas.
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
        ...(options.second
          ? [
              {
                data: [...options.second],
                borderColor: theme.secondLine,
                borderWidth: 1.75,
                borderDash: [6, 3],
                pointRadius: 0,
                pointHitRadius: 0,
                pointHoverRadius: 0,
                fill: false,
              },
            ]
          : []),
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
          // The same inset in both charts aligns their rank axes.
          afterFit: (scale) => {
            scale.paddingLeft = 4;
            scale.paddingRight = 18;
          },
          title: { display: options.rankAxis, text: 'Rank', color: theme.faint, font, padding: 0 },
        },
        y: {
          type: vertical.log ? 'logarithmic' : 'linear',
          ...(vertical.min === undefined ? {} : { min: vertical.min }),
          ...(vertical.max === undefined ? {} : { max: vertical.max }),
          grid: rule,
          border: { display: false },
          afterFit: (scale) => {
            scale.width = 58;
          },
          ticks: {
            color: theme.faint,
            font,
            maxTicksLimit: 6,
            padding: 6,
            callback: (value) =>
              vertical.log && !isRound(Number(value), vertical.decades ?? 9) ? null : vertical.tick(Number(value)),
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
          // One line speaks for both curves.
          filter: ({ datasetIndex }) => datasetIndex === 0,
          callbacks: { title: () => '', label: (item) => options.tooltip(item.parsed.x ?? 0) },
        },
        annotation: { animations: false as never, annotations: annotationsIn(options) },
        zoom: { zoom: { wheel: { enabled: false }, pinch: { enabled: false } }, pan: { enabled: false } },
      },
    },
  };
}

function annotationsIn({ marks, levels = [], points, labelled, theme, fullRank }: CurveOptions) {
  // An adapter's update has fewer singular values than min(m, n); a mark beyond them would stretch the axis.
  const inside = marks.filter(({ rank }) => rank <= fullRank);
  return annotationsOf({ marks: inside, levels, curves: [points], labelled, theme });
}

function rankTick(value: number, logRank: boolean, fullRank: number): string | null {
  if (!Number.isInteger(value)) return null;
  if (!logRank) return String(value);
  const leading = value / 10 ** Math.floor(Math.log10(value) + 1e-9);
  return [1, 2, 5].includes(Math.round(leading * 1e6) / 1e6) || value === fullRank ? String(value) : null;
}
