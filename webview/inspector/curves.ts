import type { MatrixFinding } from '../../src/model/findings.ts';
import type { Level } from '../charts/annotations.ts';
import { type CurveChart, createCurve } from '../charts/curveChart.ts';
import { sampledIndices } from '../charts/marks.ts';
import { readTheme, type Theme } from '../charts/theme.ts';
import { element } from '../ui/dom.ts';
import { formatPercent, formatTick, formatValue } from '../ui/format.ts';
import { marksOf } from './rankMarks.ts';
import type { rankOutcomes } from './rankOutcome.ts';
import type { SpectrumState } from './spectra.ts';

export interface CurveContent {
  readonly singularValues: readonly number[];
  readonly outcomes: ReturnType<typeof rankOutcomes>;
  /** Those of W X, which are drawn beside. */
  readonly seen: Extract<SpectrumState, { kind: 'ready' }>['seen'];
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
  const key = element(
    'p',
    { class: 'curve-key faint' },
    element('span', { class: 'key-line' }),
    element('span', { text: 'W' }),
    element('span', { class: 'key-line second' }),
    element('span', { text: 'W X, as the activations see it' }),
  );
  const root = element('div', { class: 'curves' }, key, spectrumRoot, energyRoot);
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
      const { singularValues, outcomes, seen, finding, logRank } = content;
      key.hidden = !seen;
      const theme = readTheme();
      const marks = marksOf(outcomes, finding, theme);
      const indices = sampledIndices(singularValues.length);
      const floor = (singularValues[0] ?? 0) * DEEPEST;
      const last = singularValues.findLast((value) => value > floor) ?? 1;
      const tooltip = (rank: number) => {
        const own = `σ${subscript(rank)} = ${formatValue(singularValues[rank - 1] ?? 0)},  energy ${formatPercent(outcomes.at(rank).energy)}`;
        return seen ? `${own},  energy of W X ${formatPercent(seen.outcomes.at(rank).energy)}` : own;
      };
      // The two have different units: each is drawn as a share of its largest value.
      const unit = seen ? singularValues[0] || 1 : 1;
      const second = seen && drawn(seen.singularValues, seen.singularValues[0] || 1);
      const lowest = Math.min(last / unit, ...(second ?? []).slice(-1).map(({ y }) => y));
      const shared = { marks, tooltip, logRank, fullRank: outcomes.fullRank, theme, onPick };
      const both = seen ? ' of W and of W X' : '';
      const spectrum = canvasIn(spectrumRoot, `Singular values${both} by rank, on a logarithmic scale`);
      const energy = canvasIn(energyRoot, `Energy kept by rank${both}`);
      charts = [
        createCurve(spectrum, {
          ...shared,
          points: drawn(singularValues, unit),
          second,
          vertical: {
            log: true,
            decades: Math.log10((singularValues[0] ?? 1) / unit / lowest),
            title: seen ? 'Value / largest' : 'Singular value',
            tick: formatTick,
          },
          levels: levelsOf(finding, theme).map((level) => ({ ...level, value: level.value / unit })),
          labelled: true,
          rankAxis: false,
        }),
        createCurve(energy, {
          ...shared,
          points: indices.map((index) => ({ x: index + 1, y: outcomes.at(index + 1).energy })),
          second:
            seen &&
            sampledIndices(seen.singularValues.length).map((index) => ({
              x: index + 1,
              y: seen.outcomes.at(index + 1).energy,
            })),
          vertical: { log: false, min: 0, max: 1, title: 'Energy', tick: (value) => formatPercent(value) },
          labelled: false,
          rankAxis: true,
        }),
      ];
    },
  };
}

/** The points of a spectrum in units of `unit`, without what is rounding noise. */
function drawn(values: readonly number[], unit: number): { x: number; y: number }[] {
  const floor = (values[0] ?? 0) * DEEPEST;
  return sampledIndices(values.length)
    .map((index) => ({ x: index + 1, y: values[index]! }))
    .filter(({ y }) => y > floor)
    .map(({ x, y }) => ({ x, y: y / unit }));
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
