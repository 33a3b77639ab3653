import { elementCount } from '../base/shape.ts';
import type { Tensor } from '../checkpoint/tensor.ts';
import { expertOfStack, factorModule } from '../model/names/moduleOfWeight.ts';
import type { StoredMatrix } from '../model/storedMatrix.ts';
import { carriedTensor } from './carried.ts';
import type { FactorType } from './encode.ts';
import type { TensorToWrite } from './safetensorsWriter.ts';
import { transposed } from './transposed.ts';

/**
 * Experts that are stored as one tensor (experts x out x in, or x in x out). Once one of them is cut, each has a place
 * of its own in what is written, as the layers of a list have: `NAME.experts.3` with its factors or its weight.
 */
export interface ExpertStack {
  readonly name: string;
  /** As the model's code holds it. */
  readonly shape: readonly number[];
  /** Whether each is (in, out) in the stack. */
  readonly transposed: boolean;
  /** That of each expert; null for one that stays dense. */
  readonly ranks: readonly (number | null)[];
}

/** The stacks of which a plan cuts an expert, in the order of the plan. */
export function expertStacks(
  chosen: readonly { readonly matrix: StoredMatrix; readonly rank: number }[],
): ExpertStack[] {
  const ranks = new Map<string, (number | null)[]>();
  const stacks: ExpertStack[] = [];
  for (const { matrix, rank } of chosen) {
    const place = expertOfStack(matrix.name);
    if (!place) continue;
    const { name, shape, turnedWhenDecoded = false } = matrix.tensor;
    let own = ranks.get(name);
    if (!own) {
      own = new Array<number | null>(shape[0]!).fill(null);
      ranks.set(name, own);
      const [count, rows, cols] = shape as readonly [number, number, number];
      stacks.push({
        name,
        shape: turnedWhenDecoded ? [count, cols, rows] : shape,
        transposed: matrix.transposed !== turnedWhenDecoded,
        ranks: own,
      });
    }
    own[place.expert] = rank;
  }
  return stacks;
}

/** The weight (out x in) of an expert of a stack that stays dense, in the type in which the stack would be written. */
export function denseExpert(
  stack: Tensor,
  expert: number,
  isTransposed: boolean,
  dtype: FactorType | null,
): TensorToWrite {
  const [count = 1, ...shape] = stack.shape;
  const [bytes, elements] = [stack.bytes / count, elementCount(shape)];
  const { readStored } = stack;
  const slice = carriedTensor(
    {
      name: `${factorModule(`${stack.name}[${expert}]`)}.weight`,
      shape,
      dtype: stack.dtype,
      bytes,
      read: (start, out, signal) => stack.read(expert * elements + start, out, signal),
      ...(readStored && {
        readStored: (offset, out, signal) => readStored.call(stack, expert * bytes + offset, out, signal),
      }),
    },
    dtype,
  );
  return isTransposed ? transposed(slice) : slice;
}
