import type { QuantizationFinding } from '../../model/findings.ts';
import type { Matrix } from '../../model/matrix.ts';
import { noiseEdge } from '../../spectrum/measures.ts';
import type { CacheEntry } from '../cache/cache.ts';

/**
 * Adds to the entry what quantization did to the matrix, if that can be told. Rounding errors are modelled as
 * independent noise of one standard deviation, whose singular values end at the Marchenko-Pastur edge.
 */
export async function withQuantization(
  matrix: Matrix,
  entry: CacheEntry,
  signal: AbortSignal | undefined,
): Promise<CacheEntry> {
  const deviation = await matrix.deviation(signal);
  if (deviation === undefined || !Number.isFinite(deviation)) return entry;
  const edge = noiseEdge(matrix.shape, deviation);
  const { singularValues, measures } = entry;
  // Values at the level of floating-point rounding never count as above the noise.
  const rank = Math.min(measures.numericalRank, singularValues.filter((value) => value > edge).length);
  const quantization: QuantizationFinding = {
    quantizationDeviation: deviation,
    quantizationEdge: edge,
    ...(singularValues.length > 0 ? { quantizationRank: rank } : {}),
  };
  return { ...entry, quantization };
}
