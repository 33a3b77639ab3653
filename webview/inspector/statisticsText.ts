import { baseName } from '../../src/base/paths.ts';
import { formatWhole, significant } from '../../src/base/quantities.ts';
import type { MatrixFinding } from '../../src/model/findings.ts';
import type { StatisticsInUse } from '../../src/protocol/page.ts';

/** From how many tokens the statistics of a matrix's inputs come, and what limits them. */
export function statisticsText({ activations, shape: [, columns] }: MatrixFinding): string {
  if (!activations) return 'No statistics of its inputs';
  const { tokens, kind, shrinkage } = activations;
  return [
    tokensText('From ', tokens),
    ...(kind === 'diagonal' ? ['from the mean square of each input alone'] : []),
    ...(isShort(activations, columns) ? [`fewer than its ${formatWhole(columns)} columns`] : []),
    ...(shrinkage > 0 ? [`shrunk by ${significant(shrinkage)} towards equal inputs`] : []),
  ].join(', ');
}

/** Whether fewer tokens than columns reached a matrix, so that some directions of its inputs were never seen. */
export function isShort({ tokens, kind }: NonNullable<MatrixFinding['activations']>, columns: number): boolean {
  return kind === 'full' && tokens !== null && tokens < columns;
}

/** The statistics in use, in one line: `smollm2.activations.safetensors: wikitext.txt, 16,384 tokens`. */
export function summaryText({ path, summary }: StatisticsInUse): string {
  if (!summary) return baseName(path);
  const { kind, text, tokens } = summary;
  const parts = [
    text ?? 'unknown text',
    tokensText('', tokens),
    ...(kind === 'diagonal' ? ['mean squares of each input alone'] : []),
  ];
  return `${baseName(path)}: ${parts.join(', ')}`;
}

function tokensText(before: string, tokens: number | null): string {
  return tokens === null ? `${before}an unknown number of tokens` : `${before}${formatWhole(tokens)} tokens`;
}
