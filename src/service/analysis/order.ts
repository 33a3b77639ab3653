import { roundsOf } from '../../model/experts.ts';
import { byLayer, type Matrix } from '../../model/matrix.ts';

/**
 * The order in which matrices are computed: by layer, and in a mixture of experts first a sample of the experts of
 * every layer, because the others are alike and may take hours.
 */
export function inTurn(matrices: readonly Matrix[]): Matrix[] {
  const sorted = byLayer(matrices);
  const rounds = roundsOf(sorted);
  return [0, 1, 2].flatMap((round) => sorted.filter((_, index) => rounds[index] === round));
}
