/** Error against size for the whole model, as points of a chart, as words and as the budgets that they stand for. */
import { formatBytes, formatCount } from '../../src/base/quantities.ts';
import type { Budget } from '../../src/model/plan/plan.ts';
import type { CurveMeasure, CurvePoint, SensitivityCurve } from '../../src/model/plan/sensitivityCurves.ts';
import type { ChartSeries, PointChartOptions } from '../charts/pointChart.ts';
import type { Theme } from '../charts/theme.ts';
import { formatPercent, formatValue } from '../ui/format.ts';

export const MEASURES: Readonly<Record<CurveMeasure, string>> = {
  weights: 'Error of the weights',
  activations: 'Error of W X',
  loss: 'Predicted KL divergence (nats)',
};

/** What a size is counted in. */
export const SIZES = [
  { id: 'keep', label: 'Parameters kept of what may be cut' },
  { id: 'model', label: 'Parameters kept of the whole model' },
  { id: 'bytes', label: 'Size of the file' },
  { id: 'multiplyAdds', label: 'Multiply-adds for a token' },
] as const;

export type Size = (typeof SIZES)[number]['id'];

const CURVES = { best: 'least error', uniform: 'uniform', plan: 'this plan' } as const;
type CurveName = keyof typeof CURVES;

interface NamedPoint {
  readonly id: string;
  readonly curve: CurveName;
  readonly point: CurvePoint;
}

/** All points, those of a curve by falling size. */
export function pointsOf({ best, uniform, plan }: SensitivityCurve): NamedPoint[] {
  const named = (curve: CurveName, points: readonly CurvePoint[]): NamedPoint[] =>
    points.map((point, k) => ({ id: `${curve}${k}`, curve, point }));
  return [...named('best', best), ...named('uniform', uniform), ...named('plan', [plan])];
}

export function sizeOf(point: CurvePoint, size: Size): number {
  const { keptShare, keptShareOfModel, bytesOfModel = 0, multiplyAddsAfter = 0 } = point;
  return { keep: keptShare, model: keptShareOfModel, bytes: bytesOfModel, multiplyAdds: multiplyAddsAfter }[size];
}

export function formatSize(value: number, size: Size): string {
  if (size === 'bytes') return formatBytes(Math.round(value));
  return size === 'multiplyAdds' ? formatCount(Math.round(value)) : formatPercent(value);
}

export function formatLoss(value: number, measure: CurveMeasure): string {
  return measure === 'loss' ? `${formatValue(value)} nats` : formatPercent(value);
}

/** The budget that a plan of this size has; a share of the whole model is one of what may be cut. */
export function budgetAt(point: CurvePoint, size: Size): Budget {
  if (size === 'bytes' || size === 'multiplyAdds') return { kind: size, value: Math.ceil(sizeOf(point, size)) };
  return { kind: 'keep', value: Number(Math.min(1, Math.ceil(1e4 * point.keptShare) / 1e4).toPrecision(12)) };
}

/** `this plan: 60 % …` */
export function describePoint({ curve, point }: NamedPoint, size: Size, measure: CurveMeasure): string[] {
  return [
    CURVES[curve],
    `${formatSize(sizeOf(point, size), size)}: ${formatLoss(point.value, measure)}`,
    ...(curve === 'plan' ? [] : ['Click or Enter: plan for this size']),
  ];
}

/** What the place of the plan says: how much the same share everywhere would lose at its size. */
export function summaryOf({ plan, best, uniform, measure }: SensitivityCurve): string {
  const { keptShare, value } = plan;
  const at = (curve: readonly CurvePoint[]) => valueAt(curve, keptShare);
  const loss = (number: number | undefined) => (number === undefined ? 'unknown' : formatLoss(number, measure));
  return `At ${formatPercent(keptShare)} of what may be cut, this plan loses ${formatLoss(value, measure)}; the least is ${loss(at(best))}, the same share everywhere ${loss(at(uniform))}.`;
}

/** Between two sizes of a curve, on the straight line; undefined outside of it. */
function valueAt(curve: readonly CurvePoint[], keptShare: number): number | undefined {
  const after = curve.findIndex((point) => point.keptShare <= keptShare);
  const [larger, smaller] = [curve[Math.max(0, after - 1)], curve[after]];
  if (!larger || !smaller) return undefined;
  const width = larger.keptShare - smaller.keptShare;
  const part = width > 0 ? Math.min(1, (keptShare - smaller.keptShare) / width) : 0;
  return smaller.value + part * (larger.value - smaller.value);
}

export function plotOf(curve: SensitivityCurve, size: Size, theme: Theme): Omit<PointChartOptions, 'onPick'> {
  const points = pointsOf(curve);
  const series = (name: CurveName, color: string, shape: ChartSeries['shape'], joined: boolean): ChartSeries => ({
    points: points
      .filter((one) => one.curve === name)
      .map(({ id, point: { value: y, ...point } }) => ({
        id,
        x: sizeOf({ ...point, value: y }, size),
        y,
        low: y,
        high: y,
      })),
    ...{ color, shape, joined },
  });
  const most = Math.max(...points.map(({ point }) => point.value), 1e-12);
  return {
    series: [
      series('uniform', theme.secondLine, 'none', true),
      series('best', theme.line, 'none', true),
      series('plan', theme.foreground, 'rectRot', false),
    ],
    x: {
      title: SIZES.find(({ id }) => id === size)!.label,
      log: false,
      ...(size === 'keep' || size === 'model' ? { max: 1 } : {}),
      tick: (value) => formatSize(Number(value.toPrecision(3)), size),
    },
    y: {
      title: MEASURES[curve.measure],
      log: false,
      min: 0,
      max: 1.06 * most,
      tick: (value) => formatLoss(Number(value.toPrecision(3)), curve.measure).replace(' nats', ''),
    },
    levels: [],
    theme,
  };
}
