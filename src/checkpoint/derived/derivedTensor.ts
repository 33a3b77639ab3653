import { elementCount } from '../../base/shape.ts';
import { CHUNK_BYTES } from '../../bytes/limits.ts';
import { type Tensor, valuesIn } from '../tensor.ts';

/** A weight that a layer computes from several stored tensors. */
export interface Derivation {
  /** The name of the weight, e.g. `conv.weight`. */
  readonly name: string;
  /** e.g. `weight norm`. */
  readonly by: string;
  /** The stored tensors; the first has the weight's shape. */
  readonly parts: readonly [Tensor, ...Tensor[]];
  /** Turns values of the first part, from element `start` on, into those of the weight, in place. */
  apply(start: number, values: Float32Array, signal?: AbortSignal): Promise<void>;
}

/**
 * One way of computing a weight. Returns the derivation if `main`, which has the weight's shape, is a part of one;
 * undefined if not.
 */
export type DerivationRule = (main: Tensor, tensors: ReadonlyMap<string, Tensor>) => Derivation | undefined;

/** The weight as a tensor that is computed when it is read. */
export function derivedTensor({ name, by, parts, apply }: Derivation): Tensor {
  const [main, ...others] = parts;
  return {
    name,
    shape: main.shape,
    dtype: main.dtype,
    bytes: parts.reduce((sum, { bytes }) => sum + bytes, 0),
    file: main.file,
    storage: `${by} ${[main, ...others].map(({ storage }) => storage).join(' ')}`,
    derived: { by, parts },
    async read(start, out, signal) {
      await main.read(start, out, signal);
      await apply(start, out, signal);
    },
  };
}

/** Passes over all values of a tensor, a bounded number at a time. */
export async function eachPart(
  tensor: Tensor,
  use: (start: number, values: Float32Array) => void,
  signal: AbortSignal | undefined,
): Promise<void> {
  const count = elementCount(tensor.shape);
  for (let at = 0; at < count; at += CHUNK_BYTES / 4)
    use(at, await valuesIn(tensor, at, Math.min(CHUNK_BYTES / 4, count - at), signal));
}

/** Calls `compute` once; a failure, such as a cancellation, is not kept. */
export function once<Result>(compute: (signal: AbortSignal | undefined) => Promise<Result>) {
  let kept: Result | undefined;
  return async (signal: AbortSignal | undefined): Promise<Result> => {
    kept ??= await compute(signal);
    return kept;
  };
}
