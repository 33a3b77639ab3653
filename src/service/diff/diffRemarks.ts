import { encodingOf } from '../../base/encoding.ts';
import type { ModelDiff } from '../../model/diff/diff.ts';

/** Below this, the values of continued training count as kept beside subspaces that turn. */
const KEPT_VALUES = 0.05;
const TURNED_DEGREES = 10;

/** What to know before the numbers are read, one sentence each. */
export function diffRemarks(diff: Omit<ModelDiff, 'remarks'>): string[] {
  const { base, other, matrices, vectors, missing, added, reshaped } = diff;
  const remarks: string[] = [];
  if (base.family !== other.family && base.family !== null && other.family !== null)
    remarks.push(`The models are of different families: ${base.family} and ${other.family}.`);
  if (base.layers !== other.layers)
    remarks.push(`The base has ${base.layers} layers, the other model ${other.layers}.`);
  const compared = matrices.length + vectors.length;
  if (missing.length + added.length + reshaped.length > compared)
    remarks.push(
      `Only ${compared} tensors can be compared; ${missing.length} are missing, ${added.length} added and ${reshaped.length} reshaped.`,
    );
  const packed = (dtype: string | undefined) =>
    dtype !== undefined && dtype !== 'F64' && encodingOf(dtype) === undefined;
  const rounded = matrices.filter(
    ({ state, dtype, otherDtype }) => state === 'changed' && packed(dtype) !== packed(otherDtype ?? dtype),
  );
  if (rounded.length > 0)
    remarks.push(
      `${rounded.length} matrices are quantized in only one of the models: their differences contain the rounding, which has full rank.`,
    );
  const changed = matrices.filter(({ state }) => state === 'changed');
  const turned = changed.filter(
    ({ valueChange, turn }) =>
      valueChange !== null &&
      turn &&
      valueChange < KEPT_VALUES &&
      Math.max(turn.left.mean, turn.right.mean) > TURNED_DEGREES,
  );
  if (turned.length > 0)
    remarks.push(
      `In ${turned.length} of ${changed.length} changed matrices, the leading singular values stay within ${100 * KEPT_VALUES} % while the leading subspaces turn by more than ${TURNED_DEGREES} degrees, as in continued training.`,
    );
  return remarks;
}
