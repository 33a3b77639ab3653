import { distributionOf } from '../../src/model/distribution.ts';
import type { AdapterKind, MatrixFinding } from '../../src/model/findings.ts';
import { placeOf, placeText } from '../../src/model/place.ts';
import type { MatrixView } from '../../src/protocol/service.ts';
import type { ExpertGroup } from '../charts/layout.ts';
import { formatPercent, formatShape, formatValue, NONE } from '../ui/format.ts';
import type { Measure } from './measure.ts';
import { type Basis, fullRank, isShare, shownValue } from './measures.ts';
import { statisticsText } from './statisticsText.ts';

/** One matrix under one measure in words, for tooltips, tables and screen readers. */
export interface CellText {
  readonly place: string;
  readonly value: string;
  /** The provenance of the value, or why there is none. */
  readonly status: string;
}

export function cellText(
  matrix: MatrixView,
  finding: MatrixFinding | undefined,
  skippedReason: string | undefined,
  measure: Measure,
  basis: Basis,
): CellText {
  const place = placeText(matrix);
  if (!finding) return { place, value: NONE, status: skippedReason ? `Skipped: ${skippedReason}` : 'Not analyzed yet' };
  const value = shownValue(measure, basis, finding);
  return {
    place,
    value: value === null ? NONE : valueInWords(measure, basis, finding, value),
    status: provenanceText(finding, measure),
  };
}

/** The experts of a group under one measure in words: the median of those that are known, and how they spread. */
export function groupText(
  group: ExpertGroup,
  findings: readonly MatrixFinding[],
  measure: Measure,
  basis: Basis,
): CellText & { readonly spread: string } {
  const place = placeText(placeOf(group));
  const shown = distributionOf(findings, (finding) => shownValue(measure, basis, finding));
  const exact = findings.filter(({ provenance }) => provenance === 'exact').length;
  const status = statusOf(group.members.length, exact, findings.length - exact);
  if (!shown) return { place, value: NONE, spread: '', status };
  const text = (value: number) => shortValue(measure, basis, value);
  return {
    place,
    value: `median ${text(shown.median)}`,
    spread:
      findings.length < 2
        ? ''
        : `half of them from ${text(shown.quartiles[0])} to ${text(shown.quartiles[1])}, all from ${text(shown.least)} to ${text(shown.most)}`,
    status,
  };
}

function statusOf(total: number, exact: number, previewed: number): string {
  if (exact + previewed === 0) return `None of ${total} experts analyzed yet`;
  const known = exact + previewed < total ? `${exact + previewed} of ${total} experts` : `All ${total} experts`;
  if (previewed === 0) return `${known}, exact`;
  return exact === 0 ? `${known}, previewed` : `${known}, ${exact} of them exact, the others previewed`;
}

/** The bare value, short enough for a cell or a list. */
export function shortValue(measure: Measure, basis: Basis, value: number): string {
  return isShare(measure, basis) ? formatPercent(Number(value.toPrecision(2))) : formatValue(value);
}

/** `exact`, or `preview` with the band of the estimate. */
export function provenanceText(finding: MatrixFinding, measure: Measure): string {
  if (measure.family !== 'weights') {
    const of = finding.provenance === 'preview' && measure.family === 'difference' ? 'preview of W. ' : '';
    return `${of}${statisticsText(finding)}`;
  }
  if (finding.provenance === 'exact') return 'exact';
  const band = bandOf(finding, measure);
  return band ? `preview, between ${formatValue(band[0])} and ${formatValue(band[1])}` : 'preview';
}

export function shapeText(matrix: MatrixView): string {
  return `${formatShape(matrix.shape)} ${matrix.dtype}`;
}

function valueInWords(measure: Measure, basis: Basis, finding: MatrixFinding, value: number): string {
  if (!isShare(measure, basis)) return formatValue(value);
  const whole = basis === 'full' ? `${fullRank(finding)}` : `break-even ${finding.breakEvenRank}`;
  return `${formatValue(measure.value(finding) ?? Number.NaN)} of ${whole} (${formatPercent(value)})`;
}

function bandOf({ band }: MatrixFinding, { id }: Measure): readonly [number, number] | null {
  if (!band) return null;
  if (id === 'effectiveRank' || id === 'effectiveRankEnergy' || id === 'stableRank') return band[id];
  const level = id.startsWith('energyRank') ? id.slice('energyRank'.length) : '';
  return Object.hasOwn(band.energyRanks, level) ? band.energyRanks[level as keyof typeof band.energyRanks] : null;
}

const KINDS: Readonly<Record<AdapterKind, string>> = {
  loha: 'LoHa',
  lokr: 'LoKr',
  full: 'full update',
  vblora: 'VB-LoRA',
  c3a: 'C3A',
  gralora: 'GraLoRA',
  delora: 'DeLoRA',
  vera: 'VeRA',
  pvera: 'PVeRA',
  shira: 'SHiRA',
  supertuning: 'Super',
  unilora: 'Uni-LoRA',
  tinylora: 'TinyLoRA',
};

/** One line about an adapter's rank and how much of it is used; empty for a matrix of a model. */
export function adapterText({ adapter, effectiveRank, energyRanks }: MatrixFinding): string {
  if (!adapter) return '';
  const { rank, scale, dead, dora, name, kind } = adapter;
  const subject = name === undefined ? 'Adapter' : `Adapter ${name}`;
  const kinds = [kind === undefined ? '' : KINDS[kind], dora ? 'DoRA' : ''].filter(Boolean).map((text) => `, ${text}`);
  const about = `${subject} of rank ${rank}, scale ${formatValue(scale)}${kinds.join('')}`;
  if (dead) return `${about} · dead: a factor is all zero, so the update is zero`;
  const used = formatPercent(Number((effectiveRank / rank).toPrecision(2)));
  return `${about} · ${used} of its rank in use: effective rank ${formatValue(effectiveRank)}, 95 % of the energy in ${energyRanks['0.95']}`;
}
