import { type CurveChart, createCurve } from '../../charts/curveChart.ts';
import { sampledIndices } from '../../charts/marks.ts';
import { readTheme } from '../../charts/theme.ts';
import { element } from '../../ui/dom.ts';
import { formatTick, formatValue } from '../../ui/format.ts';

/** Values below this share of the largest are rounding noise, which would take up most of the axis. */
const DEEPEST = 1e-6;

/** The singular values of the matrix, and dashed those of what an approximation leaves. */
export function createResidualCurve(): {
  readonly element: HTMLElement;
  show(values: readonly number[], residual: readonly number[], rank: number, pays: boolean): void;
  clear(): void;
} {
  const root = element('div', { class: 'curve residual' });
  let chart: CurveChart | null = null;
  const clear = () => {
    chart?.destroy();
    chart = null;
  };
  return {
    element: root,
    clear,
    show(values, residual, rank, pays) {
      clear();
      const floor = DEEPEST * (values[0] ?? 0);
      const points = (of: readonly number[]) =>
        sampledIndices(of.length)
          .map((index) => ({ x: index + 1, y: of[index]! }))
          .filter(({ y }) => y > floor);
      const [own, left] = [points(values), points(residual)];
      const lowest = Math.min(...[...own, ...left].map(({ y }) => y));
      const canvas = element('canvas', {
        attributes: {
          role: 'img',
          'aria-label': `Singular values of the matrix, and of what is left of it: the largest is ${formatValue(residual[0] ?? 0)}`,
        },
      });
      root.replaceChildren(canvas);
      chart = createCurve(canvas, {
        points: own,
        second: left,
        fullRank: values.length,
        logRank: false,
        vertical: {
          log: true,
          decades: own.length > 0 ? Math.log10(own[0]!.y / lowest) : 1,
          title: 'Singular value',
          tick: formatTick,
        },
        marks: [],
        labelled: false,
        rankAxis: true,
        tooltip: (at) => `σ = ${formatValue(values[at - 1] ?? 0)}, left ${formatValue(residual[at - 1] ?? 0)}`,
        theme: readTheme(),
        onPick: () => undefined,
      });
      chart.setRank(rank, pays);
    },
  };
}
