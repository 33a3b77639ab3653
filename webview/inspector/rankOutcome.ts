import { breakEvenRank, factorParameters } from '../../src/base/shape.ts';
import { lostShare, rankForLostShare, tailEnergies } from '../../src/model/plan/rankCost.ts';

/** What cutting an m x n matrix to a rank would do, all of it from the spectrum alone. */
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

/** The outcomes of every rank of one matrix; made once per spectrum, asked at every movement of the slider. */
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

/** The slider's place for a matrix nobody touched yet: what keeps 95 % of the energy, unless that would not pay. */
export function firstRank(outcomes: ReturnType<typeof rankOutcomes>): number {
  const { breakEven } = outcomes.at(1);
  return Math.max(1, Math.min(outcomes.rankForEnergy(0.95), breakEven));
}
