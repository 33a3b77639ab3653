import type { LayerFactors, LayerForm } from '../../adapters/writing/layers.ts';
import { RankscopeError } from '../../base/errors.ts';
import { yieldOrCancel } from '../../base/eventLoop.ts';
import type { SingularTriplets } from '../../base/singularTriplets.ts';
import type { RowSource } from '../../devices/backend.ts';
import type { Combination } from '../../model/lora/written.ts';
import { mergeTasks, type TaskMerge, type TaskMergeOptions } from '../../spectrum/mergeTasks.ts';
import { factorsOfTriplets, thinSvd, truncationError } from './thinSvd.ts';

/** A layer of some of the adapters, with their weights. */
export interface SharedLayer {
  readonly target: string;
  readonly form: LayerForm;
  readonly dtype: string;
  readonly parts: readonly LayerFactors[];
  readonly weights: readonly number[];
}

export interface Combining extends Omit<TaskMergeOptions, 'merge' | 'weights'> {
  readonly combination: Combination;
  /** Of the result of an SVD. */
  readonly rank: number;
  readonly decompose: (source: RowSource, rank: number) => Promise<SingularTriplets>;
  readonly signal: AbortSignal | undefined;
}

/** The factors of the merged layer, and what an SVD cut off of it. */
export async function combineLayer(
  layer: SharedLayer,
  options: Combining,
): Promise<{ factors: LayerFactors; error: number | null }> {
  const { combination, rank, signal } = options;
  const { target, parts } = layer;
  const { outputs, inputs } = parts[0]!;
  if (combination === 'cat') return { factors: concatenated(parts, layer.weights), error: 0 };
  if (combination === 'svd') {
    const found = await thinSvd(concatenated(parts, layer.weights), yieldOrCancel(signal, target));
    const factors = factorsOfTriplets(found, rank, [outputs, inputs]);
    return { factors, error: truncationError(found.values, factors.rank) };
  }
  if (!combination.endsWith('_svd')) return { factors: mergedFactors(layer, options), error: null };
  const merge = combination.slice(0, -'_svd'.length) as TaskMerge;
  const deltas = parts.map(product);
  const delta = mergeTasks(deltas, { ...options, merge, weights: layer.weights });
  const source: RowSource = {
    name: target,
    rows: outputs,
    cols: inputs,
    async read(row, out) {
      for (let i = 0; i < out.length; i++) out[i] = delta[row * inputs + i]!;
    },
  };
  const { left, values, right } = await options.decompose(source, Math.min(rank, outputs, inputs));
  const column = (of: Float32Array, k: number) =>
    Float64Array.from({ length: of.length / values.length }, (_, i) => of[i * values.length + k]!);
  const triplets = {
    values,
    left: Array.from(values, (_, k) => column(left, k)),
    right: Array.from(values, (_, k) => column(right, k)),
  };
  const total = delta.reduce((sum, value) => sum + value * value, 0);
  const kept = values.reduce((sum, value) => sum + value * value, 0);
  const error = total > 0 ? Math.sqrt(Math.max(0, total - kept) / total) : null;
  return { factors: factorsOfTriplets(triplets, rank, [outputs, inputs]), error };
}

/** The factors side by side: their product is the weighted sum of the updates, and the ranks add up. */
export function concatenated(parts: readonly LayerFactors[], weights: readonly number[]): LayerFactors {
  const { outputs, inputs } = parts[0]!;
  const rank = parts.reduce((sum, part) => sum + part.rank, 0);
  const up = new Float64Array(outputs * rank);
  const down = new Float64Array(rank * inputs);
  let at = 0;
  for (const [index, part] of parts.entries()) {
    const factor = weights[index]! * part.scale;
    for (let k = 0; k < part.rank; k++, at++) {
      for (let i = 0; i < outputs; i++) up[i * rank + at] = part.up[i * part.rank + k]!;
      for (let j = 0; j < inputs; j++) down[at * inputs + j] = factor * part.down[k * inputs + j]!;
    }
  }
  return { up, down, outputs, inputs, rank, scale: 1 };
}

/** Merges A and B by themselves, each with the root of |weight x scale|; A takes the sign. */
function mergedFactors({ target, parts, weights }: SharedLayer, options: Combining): LayerFactors {
  const { outputs, inputs, rank } = parts[0]!;
  const other = parts.find((part) => part.rank !== rank);
  if (other)
    throw new RankscopeError(
      'wrong-use',
      target,
      `its ranks are ${rank} and ${other.rank}, and ${options.combination} merges factors of one rank`,
      'Use cat or svd, or give the adapters one rank with: rankscope lora resize',
    );
  const factors = parts.map(({ scale }, index) => scale * weights[index]!);
  const roots = factors.map((factor) => Math.sqrt(Math.abs(factor)));
  const merge = options.combination as TaskMerge;
  const down = mergeTasks(
    parts.map((part) => part.down),
    { ...options, merge, weights: roots.map((root, index) => (factors[index]! < 0 ? -root : root)) },
  );
  const up = mergeTasks(
    parts.map((part) => part.up),
    { ...options, merge, weights: roots },
  );
  return { up, down, outputs, inputs, rank, scale: 1 };
}

function product({ up, down, outputs, inputs, rank, scale }: LayerFactors): Float64Array {
  const out = new Float64Array(outputs * inputs);
  for (let i = 0; i < outputs; i++)
    for (let k = 0; k < rank; k++) {
      const factor = scale * up[i * rank + k]!;
      for (let j = 0; j < inputs; j++) out[i * inputs + j]! += factor * down[k * inputs + j]!;
    }
  return out;
}
