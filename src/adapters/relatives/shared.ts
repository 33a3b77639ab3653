import { elementCount } from '../../base/shape.ts';
import { type Tensor, valuesOf } from '../../checkpoint/tensor.ts';
import { checkedPlace, placesOf } from './bank.ts';
import { type FormLayer, type LayerParts, misfit, partsOf } from './method.ts';

/** VeRA (Kopiczko, Blankevoort and Asano, 2024): diag(b) B diag(d) A with random A and B that all layers share. */
export const formVera: FormLayer = (parts) => formRandom(parts, 'vera');

/** PVeRA, which adds variances after the means in d and in A; the update is that of the means. */
export const formPvera: FormLayer = (parts) => formRandom(parts, 'pvera');

function formRandom({ own, shared, layers }: LayerParts, method: 'vera' | 'pvera'): ReturnType<FormLayer> {
  const vectors = partsOf(own, [`${method}_lambda_b`, `${method}_lambda_d`]);
  if (typeof vectors === 'string') return vectors;
  const random = partsOf(shared, [`${method}_A`, `${method}_B`]);
  if (typeof random === 'string') return `${random}: its random factors were not saved with it (save_projection)`;
  const [b, d] = vectors as [Tensor, Tensor];
  const [a, up] = random as [Tensor, Tensor];
  const [outputs, inputs, rank] = [elementCount(b.shape), a.shape[1] ?? 0, up.shape[1] ?? 0];
  const tensors = [...vectors, ...random];
  const fits = a.shape.length === 2 && up.shape.length === 2 && (up.shape[0] ?? 0) >= outputs;
  if (!fits || elementCount(d.shape) !== a.shape[0] || a.shape[0] < rank || outputs * inputs * rank === 0)
    return misfit(tensors);
  if (!shareInputs(layers, `${method}_lambda_b`))
    return 'its random factors are cut to the size of each layer, and its number of inputs is not in the file';
  const factors = async (signal: AbortSignal | undefined) => {
    const left = Float64Array.from((await valuesOf(up, signal)).subarray(0, outputs * rank));
    const right = Float64Array.from((await valuesOf(a, signal)).subarray(0, rank * inputs));
    const [rows, between] = [await valuesOf(b, signal), await valuesOf(d, signal)];
    for (let i = 0; i < outputs; i++) for (let k = 0; k < rank; k++) left[i * rank + k]! *= rows[i]! * between[k]!;
    return { up: left, down: right };
  };
  return {
    stored: { kind: 'computed', method, tensors, outputs, inputs, rank, settings: [], load: { factors } },
    scale: 1,
  };
}

/** Layers that read the same activations in every model that has them. */
const SAME_INPUTS =
  /^(q_proj|k_proj|v_proj|qkv_proj|query|key|value|query_key_value|c_attn|q_lin|k_lin|v_lin|gate_proj|up_proj|gate_up_proj|fc1|c_fc)$/;

/**
 * Whether all layers of an adapter have the same number of inputs, so that it is that of the shared A: layers of one
 * name, or layers that read the same activations, in one stack of equal layers.
 */
function shareInputs(layers: LayerParts['layers'], word: string): boolean {
  const outputs = new Map<string, Set<number>>();
  for (const { target, own } of layers) {
    const leaf = target.split('.').at(-1)!;
    const sizes = outputs.get(leaf) ?? new Set();
    sizes.add(elementCount(own.get(word)?.shape ?? []));
    outputs.set(leaf, sizes);
  }
  const leaves = [...outputs.keys()];
  const alike = leaves.length === 1 || leaves.every((leaf) => SAME_INPUTS.test(leaf));
  return alike && [...outputs.values()].every(({ size }) => size === 1);
}

/**
 * Uni-LoRA (Li et al., "Uni-LoRA: One Vector is All You Need", 2025): the entries of A and B are those of one shared
 * vector at random places, times a scale; the places are in the file if they were saved (`save_indices`).
 */
export const formUnilora: FormLayer = ({ own, shared }) => {
  const vector = partsOf(shared, ['unilora_theta_d']);
  if (typeof vector === 'string') return vector;
  const places = ['unilora_indices_A', 'unilora_indices_B', 'unilora_scales_A', 'unilora_scales_B'];
  const parts = partsOf(own, places);
  if (typeof parts === 'string') return parts;
  const [a, b, scaleA, scaleB] = parts as [Tensor, Tensor, Tensor, Tensor];
  const [theta] = vector as [Tensor];
  const [rank = 0, inputs = 0] = a.shape;
  const outputs = b.shape[0] ?? 0;
  const tensors = [...parts, theta];
  if (a.shape.length !== 2 || b.shape.length !== 2 || b.shape[1] !== rank || rank * inputs * outputs === 0)
    return misfit(tensors);
  for (const [scale, { shape }] of [
    [scaleA, a],
    [scaleB, b],
  ] as const)
    if (String(scale.shape) !== String(shape) && elementCount(scale.shape) !== 1) return misfit(tensors);
  const factors = async (signal: AbortSignal | undefined) => {
    const values = await valuesOf(theta, signal);
    const picked = async (indices: Tensor, scale: Tensor) => {
      const [at, by] = [await placesOf(indices, signal), await valuesOf(scale, signal)];
      return Float64Array.from(at, (place, k) => {
        return values[checkedPlace(indices, place, values.length)]! * by[by.length === 1 ? 0 : k]!;
      });
    };
    return { up: await picked(b, scaleB), down: await picked(a, scaleA) };
  };
  return {
    stored: { kind: 'computed', method: 'unilora', tensors, outputs, inputs, rank, settings: [], load: { factors } },
    scale: 1,
  };
};

/** TinyLoRA: B (sum_i v_i P_i) A with A and B from the base, random P, and a vector v that layers share in groups. */
export const formTinylora: FormLayer = ({ own, shared }) => {
  const parts = partsOf(own, ['tinylora_A', 'tinylora_B', 'tinylora_P']);
  if (typeof parts === 'string') return parts;
  const vectors = [...shared].filter(([word]) => word.startsWith('tinylora_v'));
  if (vectors.length !== 1)
    return `it has ${vectors.length} trained vectors, and the file does not say which of them belongs to which layer`;
  const [a, b, p] = parts as [Tensor, Tensor, Tensor];
  const [, v] = vectors[0]!;
  const [rank = 0, inputs = 0] = a.shape;
  const outputs = b.shape[0] ?? 0;
  const count = elementCount(v.shape);
  const tensors = [...parts, v];
  const fits = a.shape.length === 2 && b.shape.length === 2 && b.shape[1] === rank && rank * inputs * outputs > 0;
  if (!fits || String(p.shape) !== `${count},${rank},${rank}`) return misfit(tensors);
  const factors = async (signal: AbortSignal | undefined) => {
    const [weights, bases] = [await valuesOf(v, signal), await valuesOf(p, signal)];
    const middle = new Float64Array(rank * rank);
    for (let i = 0; i < count; i++)
      for (let k = 0; k < rank * rank; k++) middle[k]! += weights[i]! * bases[i * rank * rank + k]!;
    const left = await valuesOf(b, signal);
    const up = new Float64Array(outputs * rank);
    for (let i = 0; i < outputs; i++)
      for (let k = 0; k < rank; k++)
        for (let j = 0; j < rank; j++) up[i * rank + k]! += left[i * rank + j]! * middle[j * rank + k]!;
    return { up, down: Float64Array.from(await valuesOf(a, signal)) };
  };
  return {
    stored: { kind: 'computed', method: 'tinylora', tensors, outputs, inputs, rank, settings: [], load: { factors } },
    scale: 1,
  };
};
