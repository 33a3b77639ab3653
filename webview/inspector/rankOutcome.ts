import { breakEvenRank, factorParameters } from '../../src/base/shape.ts';
import { lostShare, rankForLostShare, tailEnergies } from '../../src/model/plan/rankCost.ts';

/** The effect of truncating an m x n matrix to a rank, computed from its spectrum alone. */
export interface RankOutcome {
  readonly rank: number;
  /** ||W - W_r|| / ||W|| in the Frobenius norm. */
  readonly error: number;
  readonly energy: number;
  readonly parametersBefore: number;
  readonly parametersAfter: number;
  readonly bytesBefore: number;
  readonly bytesAfter: number;
  readonly breakEven: number;
  /** Whether two factors of this rank are smaller than the matrix. */
  readonly pays: boolean;
}

/** The outcome of every rank of one matrix. Created once per spectrum and queried at every movement of the slider. */
export function rankOutcomes(
  [m, n]: readonly [number, number],
  bytesPerParameter: number,
  singularValues: readonly number[],
): { at(rank: number): RankOutcome; rankForEnergy(share: number): number; readonly fullRank: number } {
  const tail = tailEnergies(singularValues);
  const breakEven = breakEvenRank(m, n);
  return {
    fullRank: singularValues.length,
    rankForEnergy: (share) => Math.max(1, rankForLostShare(tail, 1 - share)),
    at(rank) {
      const lost = lostShare(tail, rank);
      const parametersAfter = factorParameters(m, n, rank);
      return {
        rank,
        error: Math.sqrt(lost),
        energy: 1 - lost,
        parametersBefore: m * n,
        parametersAfter,
        bytesBefore: m * n * bytesPerParameter,
        bytesAfter: parametersAfter * bytesPerParameter,
        breakEven,
        pays: parametersAfter < m * n,
      };
    },
  };
}

/** The slider's initial rank: the rank for 95 % of the energy, or break-even if that is lower. */
export function firstRank(outcomes: ReturnType<typeof rankOutcomes>): number {
  const { breakEven } = outcomes.at(1);
  return Math.max(1, Math.min(outcomes.rankForEnergy(0.95), breakEven));
}
