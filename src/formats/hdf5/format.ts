import { RankscopeError } from '../../base/errors.ts';
import type { ByteSource } from '../byteSource.ts';
import type { Checkpoint, FileIdentity, TensorInfo } from '../checkpoint.ts';
import { storedBytes } from '../decode.ts';
import type { Format } from '../format.ts';
import { isKernel } from '../kernelNames.ts';
import { memorySource } from '../memorySource.ts';
import { type StoredTensor, storedCheckpoint } from '../storedCheckpoint.ts';
import { readChunked, readChunks } from './chunks.ts';
import { type CudnnKernel, cudnnKernels, unscramble } from './cudnn.ts';
import { type Dataset, datasetOf } from './dataset.ts';
import { walk } from './groups.ts';
import { readSuperblock, SIGNATURE } from './superblock.ts';

/** HDF5, as Keras writes it: groups and datasets, plain or in compressed chunks. */
export const hdf5: Format = {
  name: 'hdf5',
  extensions: ['.h5', '.hdf5'],
  recognizes: (head) => head.length >= 8 && SIGNATURE.every((byte, i) => head[i] === byte),
  open: (source, { path, remarks, signal }) =>
    openHdf5(source, { path, remarks, signal, files: [source.identity], format: 'hdf5' }),
};

export interface Hdf5Context {
  readonly path: string;
  readonly format: string;
  readonly files: readonly FileIdentity[];
  readonly remarks: readonly string[];
  readonly signal?: AbortSignal | undefined;
}

interface Hdf5Tensor extends StoredTensor {
  /** Reads what is not a plain range of bytes. */
  readonly special?: (start: number, out: Float32Array, signal?: AbortSignal) => Promise<void>;
}

/** A kernel in cuDNN's order is converted whole. */
const MAX_CONVERTED = 1 << 28;

/** Opens an HDF5 file that is a file of its own or lies in an archive. */
export async function openHdf5(
  source: ByteSource,
  { path, format, files, remarks, signal }: Hdf5Context,
): Promise<Checkpoint> {
  const { file, root } = await readSuperblock(source, signal);
  const { objects, notFollowed } = await walk(file, root);
  const all = objects.flatMap((object) => datasetOf(object) ?? []);
  const datasets = all.filter((dataset) => !isOptimizer(dataset.path));
  const cudnn = cudnnKernels(datasets);
  const tensors: Hdf5Tensor[] = [];
  for (const dataset of datasets) tensors.push(await tensorOf(dataset));
  const left = all.length - datasets.length;
  const warnings = [
    ...remarks,
    ...(left ? [`${left} datasets of the optimizer's state are left out.`] : []),
    ...(cudnn.size ? [`${cudnn.size} kernels of CuDNN layers are shown in the order of the plain layers.`] : []),
    ...(notFollowed.length ? [`${notFollowed.length} links to other names or files are not followed.`] : []),
  ];
  const plain = storedCheckpoint({ path, format, files, tensors, metadata: new Map(), warnings, security: [] }, [
    source,
  ]);
  const special = (tensor: TensorInfo) => (tensor as Hdf5Tensor).special;
  return {
    ...plain,
    read: async (tensor, start, out, readSignal) =>
      await (special(tensor) ?? ((...rest) => plain.read(tensor, ...rest)))(start, out, readSignal),
    readStored: (tensor, offset, out, readSignal) =>
      special(tensor) ? undefined : plain.readStored?.(tensor, offset, out, readSignal),
  };

  async function tensorOf(dataset: Dataset): Promise<Hdf5Tensor> {
    const { path: name, shape, type, layout } = dataset;
    const count = shape.reduce((product, size) => product * size, 1);
    const bytes = storedBytes(type.dtype, count) ?? count * type.bytes;
    if (!Number.isSafeInteger(count) || !Number.isSafeInteger(bytes))
      throw file.malformed(`dataset ${JSON.stringify(name)} claims the shape ${shape.join(' x ')}`);
    const base = {
      name,
      shape,
      dtype: type.dtype,
      bytes,
      file: 0,
      bigEndian: type.bigEndian && type.bytes > 1,
      ...(isKernel(name, shape) && { transposed: true }),
    };
    const own = await placeOf();
    const kernel = cudnn.get(name);
    return kernel ? { ...own, special: converted(own, kernel) } : own;

    async function placeOf(): Promise<Hdf5Tensor> {
      if (layout.kind === 'compact') {
        if (layout.data.length < bytes)
          throw file.malformed(`dataset ${JSON.stringify(name)} has ${layout.data.length} bytes of ${bytes}`);
        return { ...base, storage: `compact:${name}`, source: memorySource(source.name, layout.data), offset: 0 };
      }
      if (layout.kind === 'contiguous') {
        if (layout.address === undefined)
          return {
            ...base,
            storage: `unwritten:${name}`,
            source,
            offset: 0,
            special: async (_, out) => void out.fill(0),
          };
        const offset = file.base + layout.address;
        if (offset + bytes > source.size)
          throw file.malformed(
            `dataset ${JSON.stringify(name)} should end at byte ${offset + bytes}, but the file ends at ${source.size}`,
          );
        return { ...base, storage: bytes > 0 ? `0:${offset}:${offset + bytes}` : `empty:${name}`, source, offset };
      }
      const chunks = await readChunks(file, dataset);
      return {
        ...base,
        storage: `chunks:${layout.tree}:${name}`,
        source,
        offset: 0,
        special: (start, out, readSignal) => readChunked(file, dataset, chunks, start, out, readSignal),
      };
    }
  }

  function converted(stored: Hdf5Tensor, kernel: CudnnKernel): NonNullable<Hdf5Tensor['special']> {
    return async (start, out, readSignal) => {
      const [rows = 0, cols = 0] = stored.shape;
      if (4 * rows * cols > MAX_CONVERTED)
        throw new RankscopeError(
          'too-large',
          stored.name,
          `a CuDNN kernel of ${rows} x ${cols} is converted whole; at most ${MAX_CONVERTED} bytes are`,
        );
      const whole = new Float32Array(rows * cols);
      if (stored.special) await stored.special(0, whole, readSignal);
      else await plain.read({ ...stored, special: undefined } as TensorInfo, 0, whole, readSignal);
      out.set(unscramble(whole, rows, cols, kernel).subarray(start, start + out.length));
    };
  }
}

/** Keras keeps the state of its optimizer beside the weights. */
function isOptimizer(path: string): boolean {
  return /^(optimizer_weights|optimizer)(\/|$)/.test(path);
}
