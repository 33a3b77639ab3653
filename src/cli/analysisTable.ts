import { distributionOf } from '../model/distribution.ts';
import type { Analysis, MatrixFinding } from '../model/findings.ts';
import { type Line, linesOf } from './expertLines.ts';
import { digits, shortNames } from './table.ts';

/** Energy ranks of W X. */
const SEEN_LEVELS = ['0.9', '0.95', '0.99'] as const;
const SEEN_HEADINGS = ['WX 90%', 'WX 95%', 'WX 99%'];
const HEADINGS = ['matrix', 'shape', 'eff.rank', 'stable', '90%', '95%', '99%', 'noise', 'num.', 'even', 'alpha'];

/** The matrices of an analysis as a table, with the experts of a module and layer as one line or one by one. */
export function analysisTable({ matrices, activations }: Analysis, everyExpert: boolean) {
  const lines: readonly Line[] = everyExpert
    ? matrices.map((finding) => ({ name: finding.name, findings: [finding] }))
    : linesOf(matrices);
  const names = shortNames(lines.map(({ name }) => name));
  return {
    lines,
    headings: [...HEADINGS, ...(activations ? SEEN_HEADINGS : [])],
    rows: lines.map((line, index) => [
      names[index] ?? line.name,
      ...numbers(line),
      ...(activations ? seenNumbers(line) : []),
    ]),
  };
}

function seenNumbers({ findings }: Line): string[] {
  return SEEN_LEVELS.map((level) =>
    digits(distributionOf(findings, ({ activations }) => activations?.energyRanks[level] ?? null)?.median ?? null),
  );
}

function numbers({ findings }: Line): string[] {
  const [first] = findings;
  const shape = first?.shape.join('x') ?? '';
  const mark = findings.some(({ provenance }) => provenance === 'preview') ? '~' : '';
  const median = (value: (finding: MatrixFinding) => number | null) => distributionOf(findings, value)?.median ?? null;
  const alpha = median((finding) => finding.alpha);
  return [
    findings.length > 1 ? `${findings.length}x ${shape}` : shape,
    mark + digits(median(({ effectiveRank }) => effectiveRank)),
    digits(median(({ stableRank }) => stableRank)),
    mark + digits(median(({ energyRanks }) => energyRanks['0.9'])),
    mark + digits(median(({ energyRanks }) => energyRanks['0.95'])),
    mark + digits(median(({ energyRanks }) => energyRanks['0.99'])),
    digits(median(({ noiseRank }) => noiseRank)),
    digits(median(({ numericalRank }) => numericalRank)),
    digits(median(({ breakEvenRank }) => breakEvenRank)),
    alpha === null ? '-' : alpha.toFixed(2),
  ];
}
