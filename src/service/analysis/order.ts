import { roundsOf } from '../../model/experts.ts';
import { byLayer, type Matrix } from '../../model/matrix.ts';

/** In a mixture of experts: the first sampled expert of each module and layer, the other sampled ones, all others. */
export type Round = 0 | 1 | 2;

/**
 * The order in which matrices are computed, and the round of each: by layer, and in a mixture of experts first a sample
 * of the experts of every layer, because the others are alike and may take hours.
 */
export function inTurn(matrices: readonly Matrix[]): Map<Matrix, Round> {
  const sorted = byLayer(matrices);
  const rounds = roundsOf(sorted);
  return new Map(
    ([0, 1, 2] as const).flatMap((round) =>
      sorted.flatMap((matrix, index) => (rounds[index] === round ? [[matrix, round] as const] : [])),
    ),
  );
}
