import { ENERGY_LEVELS } from '../../src/base/energyLevels.ts';
import { baseName } from '../../src/base/paths.ts';
import type { Analysis, MatrixFinding } from '../../src/model/findings.ts';
import { type Cell, csvText } from '../ui/csv.ts';
import { ACTIVATION_MEASURES } from './spectralMeasures.ts';
import type { Model } from './state.ts';

/** The findings as the object that `rankscope analyze --json` prints; null without findings. */
export function analysisOf(model: Model): Analysis | null {
  const { checkpoint, engine, layout, findings } = model;
  if (!checkpoint || !engine || findings.size === 0) return null;
  const { path, format, parameters, bytes, tensors, ties, warnings } = checkpoint;
  return {
    format: 'rankscope.analysis/1',
    checkpoint: { path, format, parameters, bytes, tensors: tensors.length },
    engine,
    matrices: layout.matrices.flatMap(({ name }) => findings.get(name) ?? []),
    ties,
    skipped: [...model.skipped].map(([name, reason]) => ({ name, reason })),
    ...(model.statistics?.summary && { activations: model.statistics.summary }),
    ...(warnings.length > 0 ? { warnings } : {}),
  };
}

const COLUMNS: readonly (readonly [string, (finding: MatrixFinding) => Cell])[] = [
  ['name', (finding) => finding.name],
  ['stack', (finding) => finding.stack ?? null],
  ['layer', (finding) => finding.layer],
  ['module', (finding) => finding.module],
  ['m', (finding) => finding.shape[0]],
  ['n', (finding) => finding.shape[1]],
  ['dtype', (finding) => finding.dtype],
  ['provenance', (finding) => finding.provenance],
  ['effectiveRank', (finding) => finding.effectiveRank],
  ['effectiveRankEnergy', (finding) => finding.effectiveRankEnergy],
  ['stableRank', (finding) => finding.stableRank],
  ['participationRatio', (finding) => finding.participationRatio],
  ['numericalRank', (finding) => finding.numericalRank],
  ['noiseRank', (finding) => finding.noiseRank],
  ['noiseDeviation', (finding) => finding.noiseDeviation],
  ['noiseEdge', (finding) => finding.noiseEdge],
  ['quantizationRank', (finding) => finding.quantizationRank ?? null],
  ['quantizationDeviation', (finding) => finding.quantizationDeviation ?? null],
  ['quantizationEdge', (finding) => finding.quantizationEdge ?? null],
  ['optimalThresholdRank', (finding) => finding.optimalThresholdRank],
  ...ENERGY_LEVELS.map(
    (level) => [`energyRank${level}`, (finding: MatrixFinding) => finding.energyRanks[level]] as const,
  ),
  ['breakEvenRank', (finding) => finding.breakEvenRank],
  ['alpha', (finding) => finding.alpha],
  ['alphaDistance', (finding) => finding.alphaDistance],
  ['frobeniusNorm', (finding) => finding.frobeniusNorm],
  ['spectralNorm', (finding) => finding.spectralNorm],
  ['adapterRank', (finding) => finding.adapter?.rank ?? null],
  ['adapterScale', (finding) => finding.adapter?.scale ?? null],
  ['seconds', (finding) => finding.seconds],
];

/** What statistics of the inputs add. */
const ACTIVATION_COLUMNS: readonly (readonly [string, (finding: MatrixFinding) => Cell])[] = [
  ...ACTIVATION_MEASURES.map(({ id, value }) => [id, value] as const),
  ['tokens.activations', ({ activations }) => activations?.tokens ?? null],
  ['shrinkage.activations', ({ activations }) => activations?.shrinkage ?? null],
];

/** The findings as comma-separated values, one line per matrix. */
export function findingsCsv(findings: readonly MatrixFinding[]): string {
  const hasActivations = findings.some(({ activations }) => activations);
  const columns = hasActivations ? [...COLUMNS, ...ACTIVATION_COLUMNS] : COLUMNS;
  return csvText([
    columns.map(([head]) => head),
    ...findings.map((finding) => columns.map(([, cell]) => cell(finding))),
  ]);
}

/** A spectrum as comma-separated values. */
export function spectrumCsv(singularValues: readonly number[]): string {
  return `index,singularValue\r\n${singularValues.map((value, index) => `${index + 1},${value}\r\n`).join('')}`;
}

/** A file name that shows its source: `model.safetensors` and `ranks.csv` give `model.ranks.csv`. */
export function exportName(path: string, ending: string): string {
  const base = baseName(path);
  return `${base.replace(/\.[a-z0-9]+$/i, '').replace(/[^\w.-]+/g, '_') || 'checkpoint'}.${ending}`;
}
