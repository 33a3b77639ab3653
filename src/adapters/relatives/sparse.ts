import { elementCount } from '../../base/shape.ts';
import { type Tensor, valuesIn, valuesOf } from '../../checkpoint/tensor.ts';
import { checkedPlace, placesOf } from './bank.ts';
import { type FormLayer, type LayerParts, misfit, numberOr, partsOf } from './method.ts';

/** Layers of one kind whose places are read to find their size. */
const MOST_READ = 16;

/**
 * SHiRA (Bhardwaj et al., "Sparse High Rank Adapters", 2024): r (m + n) entries of the weight change. The file does not
 * state m and n, but their sum, and the largest places in this or an equal layer usually reach both.
 */
export const formShira: FormLayer = async ({ target, own, settings, layers }, signal) => {
  const parts = partsOf(own, ['shira_weight', 'shira_indices']);
  if (typeof parts === 'string') return parts;
  const [weight, indices] = parts as [Tensor, Tensor];
  const count = elementCount(weight.shape);
  if (indices.shape.length !== 2 || indices.shape[0] !== 2 || indices.shape[1] !== count || count === 0)
    return misfit(parts);
  const sum = count / numberOr(settings.r, 32);
  const alike = layers.filter(
    (layer) => kindOf(layer.target) === kindOf(target) && sizeOf(layer.own.get('shira_indices')) === count,
  );
  const size = await spannedSize(alike, sum, signal);
  if (!size) return 'it changes single entries of the weight, whose size the file does not state';
  const [outputs, inputs] = size;
  const matrix = async (signal: AbortSignal | undefined) => {
    const [values, places] = [await valuesOf(weight, signal), await valuesOf(indices, signal)];
    const out = new Float32Array(outputs * inputs);
    for (let k = 0; k < count; k++) {
      const row = checkedPlace(indices, places[k]!, outputs);
      out[row * inputs + checkedPlace(indices, places[count + k]!, inputs)]! += values[k]!;
    }
    return out;
  };
  const rank = Math.min(outputs, inputs);
  return {
    stored: {
      kind: 'computed',
      method: 'shira',
      tensors: parts,
      outputs,
      inputs,
      rank,
      settings: size,
      load: { matrix },
    },
    scale: 1,
  };
};

const kindOf = (target: string) => target.replace(/\d+/g, '#');
const sizeOf = (tensor: Tensor | undefined) => tensor?.shape[1];

/** The smallest size that has all places of these layers, if its sides add up to `sum`. */
async function spannedSize(
  alike: readonly Pick<LayerParts, 'own'>[],
  sum: number,
  signal: AbortSignal | undefined,
): Promise<readonly [number, number] | undefined> {
  const size: [number, number] = [0, 0];
  for (const { own } of alike.slice(0, MOST_READ)) {
    const indices = own.get('shira_indices')!;
    const count = indices.shape[1]!;
    for (const side of [0, 1] as const)
      for (const place of await valuesIn(indices, side * count, count, signal))
        if (Number.isInteger(place)) size[side] = Math.max(size[side], place + 1);
    if (size[0] + size[1] >= sum) break;
  }
  return size[0] + size[1] === sum ? size : undefined;
}

/** PEFT's Super and Supra: single entries of the weight change, and a pair of factors may be added. */
export const formSupertuning: FormLayer = ({ own, settings }) => {
  const parts = partsOf(own, ['supertuning_values', 'supertuning_indices']);
  if (typeof parts === 'string') return parts;
  const factors = partsOf(own, ['supertuning_lora_A', 'supertuning_lora_B']);
  if (typeof factors === 'string') return 'it changes single entries of the weight, whose size the file does not state';
  const [values, indices] = parts as [Tensor, Tensor];
  const [a, b] = factors as [Tensor, Tensor];
  const tensors = [...parts, ...factors];
  const [rank = 0, inputs = 0] = a.shape;
  const outputs = b.shape[0] ?? 0;
  const fits = a.shape.length === 2 && b.shape.length === 2 && b.shape[1] === rank && rank * inputs * outputs > 0;
  const count = elementCount(values.shape);
  if (!fits || elementCount(indices.shape) !== count) return misfit(tensors);
  const scale = numberOr(settings.lora_alpha, 2 * rank) / rank;
  const matrix = async (signal: AbortSignal | undefined) => {
    const [left, right] = [await valuesOf(b, signal), await valuesOf(a, signal)];
    const out = new Float64Array(outputs * inputs);
    for (let i = 0; i < outputs; i++)
      for (let k = 0; k < rank; k++) {
        const factor = scale * left[i * rank + k]!;
        for (let j = 0; j < inputs; j++) out[i * inputs + j]! += factor * right[k * inputs + j]!;
      }
    const [changes, places] = [await valuesOf(values, signal), await placesOf(indices, signal)];
    for (let k = 0; k < count; k++) out[checkedPlace(indices, places[k]!, out.length)]! += changes[k]!;
    return out;
  };
  return {
    stored: {
      kind: 'computed',
      method: 'supertuning',
      tensors,
      outputs,
      inputs,
      rank: Math.min(outputs, inputs),
      settings: [scale],
      load: { matrix },
    },
    scale: 1,
  };
};
