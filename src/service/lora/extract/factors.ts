import type { LayerForm } from '../../../adapters/writing/layers.ts';
import { peftTensors } from '../../../adapters/writing/peft.ts';
import { elementCount } from '../../../base/shape.ts';
import type { SingularTriplets } from '../../../base/singularTriplets.ts';
import { transposeOf } from '../../../spectrum/transpose.ts';
import { encode, FACTOR_BYTES, type FactorType, rounded } from '../../../write/encode.ts';
import type { WrittenFactors } from '../../../write/residual.ts';
import type { TensorToWrite } from '../../../write/safetensorsWriter.ts';

/** A layer whose factors are found when they are written, and are not kept. */
export interface LazyLayer {
  readonly target: string;
  readonly form: LayerForm;
  /** [m, n] of the matrix. */
  readonly shape: readonly [number, number];
  readonly rank: number;
  readonly dtype: FactorType;
  /** Factors in [out, in] terms. */
  readonly load: () => Promise<WrittenFactors>;
  /** Receives the factors as they are in the file. */
  readonly written: (factors: WrittenFactors) => Promise<void>;
}

/** Factors with the root of each singular value in both, so that neither leaves the range of its type. */
export function balancedTriplets({ left, values, right }: SingularTriplets, scale = 1): WrittenFactors {
  const rank = values.length;
  const roots = values.map((value) => Math.sqrt(value / scale));
  return {
    rank,
    b: left.map((value, at) => value * roots[at % rank]!),
    a: transposeOf(
      right.map((value, at) => value * roots[at % rank]!),
      rank,
    ),
  };
}

/** A layer as PEFT's configuration needs it, without its factors. */
export function describedLayer({ target, form, shape, rank }: LazyLayer, scale = 1) {
  const none = new Float32Array(0);
  return { target, form, factors: { up: none, down: none, outputs: shape[0], inputs: shape[1], rank, scale } };
}

/** A and B of a layer under the names of PEFT. */
export function lazyTensors(layer: LazyLayer): TensorToWrite[] {
  const { form, shape, rank, dtype } = layer;
  // The table of an embedding is the transpose of B A.
  const isTable = form.kind === 'embedding';
  const [outputs, inputs] = isTable ? [shape[1], shape[0]] : shape;
  const none = new Float32Array(0);
  const parts = peftTensors({ ...layer, factors: { up: none, down: none, outputs, inputs, rank, scale: 1 } });
  let loaded: Promise<WrittenFactors> | undefined;
  return parts.map(({ name, shape: size }, k) => ({
    name,
    dtype,
    shape: size,
    bytes: elementCount(size) * FACTOR_BYTES[dtype],
    async *content() {
      loaded ??= layer.load();
      const { a, b } = await loaded;
      const values = isTable ? [transposeOf(b, rank), transposeOf(a, shape[1])][k]! : [a, b][k]!;
      yield encode(values, dtype);
      if (k === 0) return;
      loaded = undefined;
      await layer.written({ rank, a: rounded(a, dtype), b: rounded(b, dtype) });
    },
  }));
}
