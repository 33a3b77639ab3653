import type { Dataset } from './objects/dataset.ts';

/** A kernel of a CuDNN recurrent layer, stored in cuDNN's own order, which is not that of a matrix. */
export interface CudnnKernel {
  readonly gates: number;
  readonly recurrent: boolean;
}

/**
 * Finds the kernels of CuDNNLSTM and CuDNNGRU layers (Keras 2, hdf5_format.py, `_convert_rnn_weights`). Their bias
 * vector has two biases for each unit and gate, where that of the plain layers has one.
 */
export function cudnnKernels(datasets: readonly Dataset[]): Map<string, CudnnKernel> {
  const shapes = new Map(datasets.map(({ path, shape }) => [path, shape]));
  const found = new Map<string, CudnnKernel>();
  for (const { path, shape } of datasets) {
    const match = /^(.*\/)recurrent_kernel(:0)?$/.exec(path);
    const [units = 0, width = 0] = shape;
    const gates = width / units;
    if (!match || shape.length !== 2 || (gates !== 4 && gates !== 3)) continue;
    const bias = shapes.get(`${match[1]}bias${match[2] ?? ''}`);
    const kernel = `${match[1]}kernel${match[2] ?? ''}`;
    if (bias?.length !== 1 || bias[0] !== 2 * width || shapes.get(kernel)?.[1] !== width) continue;
    found.set(path, { gates, recurrent: true });
    found.set(kernel, { gates, recurrent: false });
  }
  return found;
}

/** Converts the stored values into the matrix (inputs, gates * units) of the plain layer, as Keras does. */
export function unscramble(
  stored: Float32Array,
  rows: number,
  cols: number,
  { gates, recurrent }: CudnnKernel,
): Float32Array {
  const units = cols / gates;
  const out = new Float32Array(stored.length);
  for (let gate = 0; gate < gates; gate++) {
    for (let i = 0; i < rows; i++) {
      for (let j = 0; j < units; j++) {
        // Recurrent kernels are transposed gate by gate; the others are read in C order and written in Fortran order.
        const at = i + j * rows;
        const [row, column] = recurrent ? [j, i] : [Math.floor(at / units), at % units];
        out[i * cols + gate * units + j] = stored[row * cols + gate * units + column]!;
      }
    }
  }
  return out;
}
