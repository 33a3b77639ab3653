import type { VariantEvaluation } from '../../src/model/evaluation.ts';
import type { ChartPoint, ChartSeries, PointChartOptions } from '../charts/pointChart.ts';
import type { Theme } from '../charts/theme.ts';
import { formatPercent } from '../ui/format.ts';
import type { Measured, TextRuns } from './texts.ts';
import { formatPerplexity, perplexityBar } from './words.ts';

type Plot = Omit<PointChartOptions, 'onPick'>;

/** How a kind of variant is drawn: shape and colour both tell them apart. */
export const MARKERS: Readonly<
  Record<VariantEvaluation['kind'], { label: string; sign: string; shape: ChartSeries['shape']; joined: boolean }>
> = {
  rank: { label: 'the same rank everywhere', sign: '●', shape: 'circle', joined: true },
  plan: { label: 'plan', sign: '◆', shape: 'rectRot', joined: false },
  file: { label: 'factorized file', sign: '▲', shape: 'triangle', joined: false },
};

export const colorOf = (kind: VariantEvaluation['kind'], theme: Theme): string =>
  ({ rank: theme.line, plan: theme.marks.energy, file: theme.marks.numerical })[kind];

/** From this ratio of the highest to the lowest perplexity on, a linear axis would hide the low ones. */
const WIDE = 8;

/** Whether the perplexities of a text spread so far that their axis should be logarithmic. */
export function isWide({ runs, measured }: TextRuns): boolean {
  const all = [...runs.map(({ dense }) => dense.perplexity), ...measured.map(({ variant }) => variant.perplexity)];
  return Math.max(...all) > WIDE * Math.min(...all);
}

/** Perplexity against the share of the model's parameters that is kept. */
export function keptPlot(text: TextRuns, log: boolean, theme: Theme): Plot | null {
  const series = seriesOf(text, theme, ({ size }) => size.keptShareOfModel, perplexityOf);
  return plotOf(text, series, log, theme, {
    title: 'Parameters of the model kept',
    log: false,
    ...padded(series.flatMap(({ points }) => points.map(({ x }) => x))),
    tick: (value) => formatPercent(Number(value.toPrecision(3))),
  });
}

/** Perplexity against the rank, of the variants that have the same rank everywhere. */
export function rankPlot(text: TextRuns, log: boolean, theme: Theme): Plot | null {
  const series = seriesOf(text, theme, ({ rank }) => rank, perplexityOf);
  const ranks = [...new Set(series.flatMap(({ points }) => points.map(({ x }) => x)))].sort((a, b) => a - b);
  return plotOf(text, series, log, theme, {
    title: 'Rank of every factorized matrix',
    log: true,
    min: (ranks[0] ?? 1) / 1.15,
    max: (ranks.at(-1) ?? 1) * 1.15,
    ticks: ranks,
    tick: String,
  });
}

/** The measured loss beside the predicted error of the weights, which alone says little about it. */
export function predictedPlot(text: TextRuns, theme: Theme): Plot | null {
  const series = seriesOf(
    text,
    theme,
    ({ predictedError }) => predictedError,
    ({ variant: { difference, differenceError } }) => ({
      y: difference,
      low: difference - differenceError,
      high: difference + differenceError,
    }),
  ).map((each) => ({ ...each, joined: false }));
  const points = series.flatMap((each) => each.points);
  if (points.length === 0) return null;
  return {
    series,
    x: {
      title: 'Predicted error of the weights',
      log: false,
      min: 0,
      max: Math.max(...points.map(({ x }) => x)) * 1.06,
      tick: (value) => formatPercent(Number(value.toPrecision(3))),
    },
    y: {
      title: 'Loss above dense (nats per token)',
      log: false,
      ...spread(Math.min(0, ...points.map(({ low }) => low)), Math.max(...points.map(({ high }) => high)), false),
      tick: (value) => String(Number(value.toPrecision(3))),
    },
    levels: [],
    theme,
  };
}

function perplexityOf({ variant, evaluation }: Measured): Pick<ChartPoint, 'y' | 'low' | 'high'> {
  const [low, high] = perplexityBar(evaluation.dense, variant);
  return { y: variant.perplexity, low, high };
}

/** One series for each kind; variants without an x are in none. */
function seriesOf(
  { measured }: TextRuns,
  theme: Theme,
  x: (variant: VariantEvaluation) => number | null,
  y: (measured: Measured) => Pick<ChartPoint, 'y' | 'low' | 'high'>,
): ChartSeries[] {
  return (Object.keys(MARKERS) as VariantEvaluation['kind'][]).flatMap((kind) => {
    const points = measured.flatMap((one): ChartPoint[] => {
      const at = one.variant.kind === kind ? x(one.variant) : null;
      return at === null ? [] : [{ id: one.id, x: at, ...y(one) }];
    });
    points.sort((a, b) => a.x - b.x);
    const { shape, joined } = MARKERS[kind];
    return points.length === 0 ? [] : [{ points, color: colorOf(kind, theme), shape, joined }];
  });
}

function plotOf(
  { runs }: TextRuns,
  series: readonly ChartSeries[],
  log: boolean,
  theme: Theme,
  x: Plot['x'],
): Plot | null {
  const points = series.flatMap((each) => each.points);
  if (points.length === 0) return null;
  const dense = runs.at(-1)!.dense.perplexity;
  const low = Math.min(dense, ...points.map((point) => point.low));
  const high = Math.max(dense, ...points.map((point) => point.high));
  return {
    series,
    x,
    y: {
      title: 'Perplexity',
      log,
      ...spread(low, high, log),
      tick: formatPerplexityTick,
    },
    levels: [{ value: dense, label: 'dense', color: theme.foreground }],
    theme,
  };
}

const formatPerplexityTick = (value: number): string =>
  value >= 1000 ? formatPerplexity(value).replace(/\.?0+e/, 'e') : String(Number(value.toPrecision(4)));

/** The ends of a vertical axis with room below the lowest and above the highest point, which are not cut off there. */
function spread(low: number, high: number, log: boolean): { min: number; max: number } {
  const [from, to] = log ? [Math.log(low), Math.log(high)] : [low, high];
  const room = Math.max(0.07 * (to - from), 1e-6 * Math.abs(to));
  return log ? { min: Math.exp(from - room), max: Math.exp(to + room) } : { min: from - room, max: to + room };
}

/** The ends of a linear axis with some room beside the outermost points. */
function padded(values: readonly number[]): { min: number; max: number } {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  // A single point would otherwise get an axis of a few thousandths.
  const room = Math.max(0.06 * (high - low), 0.04);
  return { min: Math.max(0, low - room), max: high + room };
}
