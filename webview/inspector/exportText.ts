import { ENERGY_LEVELS } from '../../src/base/energyLevels.ts';
import { baseName } from '../../src/base/paths.ts';
import type { Analysis, MatrixFinding } from '../../src/model/findings.ts';
import { type Cell, csvText } from '../ui/csv.ts';
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

/** Of matrices as activations see them. */
const SEEN_COLUMNS: typeof COLUMNS = [
  ...ENERGY_LEVELS.map(
    (level) =>
      [`seenEnergyRank${level}`, (finding: MatrixFinding) => finding.activations?.energyRanks[level] ?? null] as const,
  ),
  ['seenEffectiveRank', (finding) => finding.activations?.effectiveRank ?? null],
  ['seenStableRank', (finding) => finding.activations?.stableRank ?? null],
  ['seenTokens', (finding) => finding.activations?.tokens ?? null],
];

/** The findings as comma-separated values, one line per matrix. */
export function findingsCsv(findings: readonly MatrixFinding[]): string {
  const columns = findings.some(({ activations }) => activations) ? [...COLUMNS, ...SEEN_COLUMNS] : COLUMNS;
  const lines = [columns.map(([head]) => head), ...findings.map((finding) => columns.map(([, cell]) => cell(finding)))];
  return csvText(lines);
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
