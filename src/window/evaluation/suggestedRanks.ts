import { breakEvenRank } from '../../base/shape.ts';
import type { MatrixView } from '../../protocol/service.ts';

/** Shares of the break-even rank: from a strong compression to one that hardly saves anything. */
const SHARES = [0.25, 0.5, 0.75, 0.9] as const;

/**
 * Ranks worth measuring first: shares of the median break-even rank of the matrices in the layers, each once. Above the
 * break-even rank a matrix stays as it is.
 */
export function suggestedRanks(matrices: readonly Pick<MatrixView, 'layer' | 'shape'>[]): number[] {
  const limits = matrices
    .filter(({ layer }) => layer !== null)
    .map(({ shape: [m, n] }) => breakEvenRank(m, n))
    .sort((a, b) => a - b);
  const median = limits[Math.floor(limits.length / 2)] ?? 64;
  const step = median >= 64 ? 8 : 1;
  return [...new Set(SHARES.map((share) => Math.max(1, step * Math.round((share * median) / step))))];
}
