import { elementCount } from '../../base/shape.ts';
import { type Tensor, valuesOf } from '../../checkpoint/tensor.ts';
import { type FormLayer, misfit, partsOf } from './method.ts';

/** PEFT's bound on the norms by which it divides. */
const LEAST_NORM = 1e-4;

/**
 * DeLoRA (Bini, Girrbach and Akata, "Decoupling Angles and Strength in Low-rank Adaptation", 2025):
 * B diag(lambda / (r |A_k| |B_k|)) A diag(w), with the norms w of the columns of the base, which the file has.
 */
export const formDelora: FormLayer = ({ own }) => {
  const parts = partsOf(own, ['delora_A', 'delora_B', 'delora_lambda', 'delora_w_norm']);
  if (typeof parts === 'string') return parts;
  const [a, b, strength, norms] = parts as [Tensor, Tensor, Tensor, Tensor];
  const [rank = 0, inputs = 0] = a.shape;
  const outputs = b.shape[0] ?? 0;
  const fits =
    a.shape.length === 2 && b.shape.length === 2 && b.shape[1] === rank && elementCount(norms.shape) === inputs;
  if (!fits || elementCount(strength.shape) !== 1 || rank * inputs * outputs === 0) return misfit(parts);
  const factors = async (signal: AbortSignal | undefined) => {
    const [down, up] = [Float64Array.from(await valuesOf(a, signal)), Float64Array.from(await valuesOf(b, signal))];
    const lambda = (await valuesOf(strength, signal))[0]!;
    const widths = await valuesOf(norms, signal);
    for (let k = 0; k < rank; k++) {
      let [rows, columns] = [0, 0];
      for (let j = 0; j < inputs; j++) rows += down[k * inputs + j]! ** 2;
      for (let i = 0; i < outputs; i++) columns += up[i * rank + k]! ** 2;
      const size = Math.max(Math.sqrt(rows), LEAST_NORM) * Math.max(Math.sqrt(columns), LEAST_NORM);
      for (let j = 0; j < inputs; j++) down[k * inputs + j]! *= (lambda / rank / size) * widths[j]!;
    }
    return { up, down };
  };
  return {
    stored: {
      kind: 'computed',
      method: 'delora',
      tensors: parts,
      outputs,
      inputs,
      rank,
      settings: [],
      load: { factors },
    },
    scale: 1,
  };
};
