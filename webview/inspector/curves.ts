import type { MatrixFinding } from '../../src/model/findings.ts';
import type { Level } from '../charts/annotations.ts';
import { type CurveChart, createCurve } from '../charts/curveChart.ts';
import { sampledIndices } from '../charts/marks.ts';
import { readTheme, type Theme } from '../charts/theme.ts';
import { element } from '../ui/dom.ts';
import { formatPercent, formatTick, formatValue } from '../ui/format.ts';
import { marksOf } from './rankMarks.ts';
import type { rankOutcomes } from './rankOutcome.ts';

export interface CurveContent {
  readonly singularValues: readonly number[];
  readonly outcomes: ReturnType<typeof rankOutcomes>;
  readonly finding: MatrixFinding | undefined;
  readonly logRank: boolean;
}

export interface Curves {
  readonly element: HTMLElement;
  show(content: CurveContent): void;
  setRank(rank: number, pays: boolean): void;
  canvases(): HTMLCanvasElement[];
  clear(): void;
}

/**
 * Singular values below this share of the largest are not drawn: rounding noise would take up most of the logarithmic
 * axis.
 */
const DEEPEST = 1e-9;

/** The spectrum above the energy curve, with a common rank axis. */
export function createCurves(onPick: (rank: number) => void): Curves {
  const spectrumRoot = element('div', { class: 'curve spectrum' });
  const energyRoot = element('div', { class: 'curve energy' });
  const root = element('div', { class: 'curves' }, spectrumRoot, energyRoot);
  let charts: CurveChart[] = [];
  const clear = () => {
    for (const chart of charts) chart.destroy();
    charts = [];
  };
  return {
    element: root,
    clear,
    canvases: () => charts.map(({ canvas }) => canvas),
    setRank(rank, pays) {
      for (const chart of charts) chart.setRank(rank, pays);
    },
    show(content) {
      clear();
      const { singularValues, outcomes, finding, logRank } = content;
      const theme = readTheme();
      const marks = marksOf(outcomes, finding, theme);
      const indices = sampledIndices(singularValues.length);
      const floor = (singularValues[0] ?? 0) * DEEPEST;
      const last = singularValues.findLast((value) => value > floor) ?? 1;
      const tooltip = (rank: number) =>
        `σ${subscript(rank)} = ${formatValue(singularValues[rank - 1] ?? 0)},  energy ${formatPercent(outcomes.at(rank).energy)}`;
      const shared = { marks, tooltip, logRank, fullRank: outcomes.fullRank, theme, onPick };
      const spectrum = canvasIn(spectrumRoot, 'Singular values by rank, on a logarithmic scale');
      const energy = canvasIn(energyRoot, 'Energy kept by rank');
      charts = [
        createCurve(spectrum, {
          ...shared,
          points: indices.map((index) => ({ x: index + 1, y: singularValues[index]! })).filter(({ y }) => y > floor),
          vertical: {
            log: true,
            decades: Math.log10((singularValues[0] ?? 1) / last),
            title: 'Singular value',
            tick: formatTick,
          },
          levels: levelsOf(finding, theme),
          labelled: true,
          rankAxis: false,
        }),
        createCurve(energy, {
          ...shared,
          points: indices.map((index) => ({ x: index + 1, y: outcomes.at(index + 1).energy })),
          vertical: { log: false, min: 0, max: 1, title: 'Energy', tick: (value) => formatPercent(value) },
          labelled: false,
          rankAxis: true,
        }),
      ];
    },
  };
}

function levelsOf(finding: MatrixFinding | undefined, { marks }: Theme): Level[] {
  if (!finding) return [];
  const { noiseEdge, quantizationEdge = 0 } = finding;
  return [
    { value: noiseEdge, label: 'noise edge', color: marks.noise },
    { value: quantizationEdge, label: 'quantization edge', color: marks.numerical },
  ];
}

function canvasIn(root: HTMLElement, label: string): HTMLCanvasElement {
  const canvas = element('canvas', { attributes: { role: 'img', 'aria-label': label } });
  root.replaceChildren(canvas);
  return canvas;
}

function subscript(value: number): string {
  return [...String(value)].map((digit) => '₀₁₂₃₄₅₆₇₈₉'[Number(digit)]).join('');
}
