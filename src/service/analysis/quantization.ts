import type { QuantizationFinding } from '../../model/findings.ts';
import type { Matrix } from '../../model/matrix.ts';
import { noiseEdge } from '../../spectrum/measures.ts';
import type { CacheEntry } from '../cache/cache.ts';

/**
 * The entry with what quantization did to the matrix, where that can be told. Rounding errors are taken for independent noise of one
 * deviation, so that what they alone could make of a singular value ends at the Marchenko-Pastur edge.
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
  // What is only rounding of the arithmetic does not stand out of any noise.
  const rank = Math.min(measures.numericalRank, singularValues.filter((value) => value > edge).length);
  const quantization: QuantizationFinding = {
    quantizationDeviation: deviation,
    quantizationEdge: edge,
    ...(singularValues.length > 0 ? { quantizationRank: rank } : {}),
  };
  return { ...entry, quantization };
}
