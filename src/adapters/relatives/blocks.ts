import { type Tensor, valuesOf } from '../../checkpoint/tensor.ts';
import { type FormLayer, misfit, numberOr, partsOf } from './method.ts';

/**
 * C3A (Chen et al., "Parameter-Efficient Fine-Tuning via Circular Convolution", 2024): m/b x n/b circulant blocks of b
 * x b, each given by one kernel w: entry [p, k] of a block is w[(k - p) mod b] / n.
 */
export const formC3a: FormLayer = ({ own }) => {
  const parts = partsOf(own, ['c3a_kernel']);
  if (typeof parts === 'string') return parts;
  const [kernel] = parts as [Tensor];
  const [down = 0, across = 0, size = 0] = kernel.shape;
  if (kernel.shape.length !== 3 || down * across * size === 0) return misfit(parts);
  const [outputs, inputs] = [down * size, across * size];
  const matrix = async (signal: AbortSignal | undefined) => {
    const values = await valuesOf(kernel, signal);
    const out = new Float64Array(outputs * inputs);
    for (let i = 0; i < outputs; i++) {
      const first = Math.floor(i / size) * across * size;
      for (let j = 0; j < inputs; j++) {
        const block = Math.floor(j / size) * size;
        out[i * inputs + j] = values[first + block + ((j - block - (i % size) + size) % size)]! / inputs;
      }
    }
    return out;
  };
  const rank = Math.min(outputs, inputs);
  return {
    stored: { kind: 'computed', method: 'c3a', tensors: parts, outputs, inputs, rank, settings: [], load: { matrix } },
    scale: 1,
  };
};

/**
 * GraLoRA (Jung et al., "GraLoRA: Granular Low-Rank Adaptation", 2025): k x k blocks of rank r / k. With A (k, n/k, r)
 * and B (k, r, m/k), block [j, i] is B[j, i s..]^T A[i, .., j s..]^T with s = r / k; a plain pair of factors may be
 * added.
 */
export const formGralora: FormLayer = ({ own, settings }) => {
  const parts = partsOf(own, ['gralora_A', 'gralora_B']);
  if (typeof parts === 'string') return parts;
  const [a, b] = parts as [Tensor, Tensor];
  const [general, generalUp] = [own.get('gralora_A_general'), own.get('gralora_B_general')];
  const [blocks = 0, width = 0, rank = 0] = a.shape;
  const height = b.shape[2] ?? 0;
  const each = rank / blocks;
  const [outputs, inputs] = [blocks * height, blocks * width];
  const more = general?.shape[0] ?? 0;
  const fits =
    a.shape.length === 3 &&
    b.shape.length === 3 &&
    b.shape[0] === blocks &&
    b.shape[1] === rank &&
    outputs * inputs > 0;
  if (!fits || !Number.isInteger(each) || each === 0) return misfit(parts);
  const tensors = [...parts, ...(general && generalUp ? [general, generalUp] : [])];
  if ((general === undefined) !== (generalUp === undefined)) return misfit(tensors);
  if (general && generalUp) {
    const plain = [general.shape, generalUp.shape].map(String);
    if (plain[0] !== `${more},${inputs}` || plain[1] !== `${outputs},${more}`) return misfit(tensors);
  }
  const columns = blocks * rank + more;
  const factors = async (signal: AbortSignal | undefined) => {
    const [left, right] = [await valuesOf(b, signal), await valuesOf(a, signal)];
    const up = new Float32Array(outputs * columns);
    const down = new Float32Array(columns * inputs);
    for (let j = 0; j < blocks; j++)
      for (let i = 0; i < blocks; i++)
        for (let s = 0; s < each; s++) {
          const column = j * rank + i * each + s;
          for (let o = 0; o < height; o++)
            up[(j * height + o) * columns + column] = left[(j * rank + i * each + s) * height + o]!;
          for (let l = 0; l < width; l++)
            down[column * inputs + i * width + l] = right[(i * width + l) * rank + j * each + s]!;
        }
    if (general && generalUp) {
      down.set(await valuesOf(general, signal), blocks * rank * inputs);
      const plain = await valuesOf(generalUp, signal);
      for (let o = 0; o < outputs; o++) up.set(plain.subarray(o * more, (o + 1) * more), o * columns + blocks * rank);
    }
    return { up, down };
  };
  return {
    stored: {
      kind: 'computed',
      method: 'gralora',
      tensors,
      outputs,
      inputs,
      rank: columns,
      settings: [],
      load: { factors },
    },
    scale: numberOr(settings.alpha, 64) / (rank + more),
  };
};
