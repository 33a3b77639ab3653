import type { MatrixFinding } from '../../../src/model/findings.ts';

/** A finding whose measures are all told apart by their value; `change` sets what a test is about. */
export function finding(name: string, change: Partial<MatrixFinding> = {}): MatrixFinding {
  return {
    name,
    layer: 0,
    module: 'q',
    shape: [64, 32],
    dtype: 'F32',
    provenance: 'exact',
    seconds: 0.5,
    frobeniusNorm: 20,
    spectralNorm: 8,
    effectiveRank: 16,
    effectiveRankEnergy: 12,
    stableRank: 6.25,
    participationRatio: 10,
    numericalRank: 32,
    noiseRank: 5,
    noiseDeviation: 0.1,
    noiseEdge: 1.4,
    optimalThresholdRank: 7,
    energyRanks: { '0.9': 9, '0.95': 14, '0.99': 25, '0.999': 30 },
    breakEvenRank: 21,
    alpha: null,
    alphaDistance: null,
    ...change,
  };
}
