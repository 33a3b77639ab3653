import { RankscopeError } from '../../base/errors.ts';
import type { Allowance } from '../../bytes/allowance.ts';
import { MAX_SHOWN_TEXT } from '../../bytes/limits.ts';
import type { ByteSource } from '../../bytes/source/byteSource.ts';
import type { FileIdentity } from '../../bytes/source/fileSource.ts';
import { type Checkpoint, checkpointOver } from '../../checkpoint/checkpoint.ts';
import type { Format } from '../format.ts';
import { chunkReader } from './chunks/chunkReader.ts';
import { cudnnKernels } from './cudnn.ts';
import { readSuperblock, SIGNATURE } from './file/superblock.ts';
import { type FoundObject, walk } from './groups/walk.ts';
import { textsOf } from './objects/attributes.ts';
import { type Dataset, datasetOf } from './objects/dataset.ts';
import { inPlainOrder, tensorOf } from './tensor.ts';

/*
 * Why our own reader. h5wasm, the complete library for JavaScript, adds 4.8 MB of WebAssembly, takes only paths (not an
 * entry of a `.keras` archive), follows links and external storage into other files, and does not throw for a damaged
 * file. Weights need a small part of HDF5: groups, attributes that are texts, and datasets of numbers. This reader
 * implements that part of the specification (version 3.0), verifies every checksum, size and address, never leaves the
 * file, and spends from the checkpoint's allowance. It refuses anything else by name.
 */

/** HDF5 as Keras writes it: groups and datasets, contiguous or in compressed chunks. */
export const hdf5: Format = {
  name: 'hdf5',
  extensions: ['.h5', '.hdf5'],
  recognizes: (head) => head.length >= 8 && SIGNATURE.every((byte, i) => head[i] === byte),
  open: (source, { path, remarks, allowance, signal }) =>
    openHdf5(source, { path, remarks, allowance, signal, files: [source.identity], format: 'hdf5' }),
};

export interface Hdf5Context {
  readonly path: string;
  readonly format: string;
  readonly files: readonly FileIdentity[];
  readonly remarks: readonly string[];
  readonly allowance: Allowance;
  readonly signal?: AbortSignal | undefined;
}

/** Opens HDF5 content, which is either a whole file or an entry of a `.keras` archive. */
export async function openHdf5(source: ByteSource, context: Hdf5Context): Promise<Checkpoint> {
  const { path, format, files, remarks, allowance, signal } = context;
  const { file, root } = await readSuperblock(source, allowance, signal);
  const datasets: Dataset[] = [];
  const metadata = new Map<string, string>();
  const notRead: string[] = [];
  let left = 0;
  const { notFollowed } = await walk(file, root, async (object) => {
    if (object.path === '') await describe(object);
    if (object.isGroup) return;
    const dataset = await datasetOf(file, object);
    if (!dataset) return;
    if (isOptimizer(object.path)) left++;
    else datasets.push(dataset);
    allowance.spendTensor(object.path.length, dataset.shape.length);
  });
  const cudnn = cudnnKernels(datasets);
  const readChunks = chunkReader(file);
  const stored = datasets.map((dataset) => tensorOf(file, files[0]!, dataset, readChunks));
  const tensors = stored.map((tensor) => {
    const kernel = cudnn.get(tensor.name);
    return kernel ? inPlainOrder(tensor, kernel) : tensor;
  });
  const warnings = [
    ...remarks,
    ...notRead,
    ...(left ? [`${left} datasets of the optimizer's state are omitted.`] : []),
    ...(cudnn.size ? [`${cudnn.size} kernels of CuDNN layers are shown in the order of the plain layers.`] : []),
    ...(notFollowed ? [`${notFollowed} links to other names or files are not followed.`] : []),
  ];
  return checkpointOver({ path, format, files, tensors, metadata, warnings, security: [] }, [source]);

  /** Adds the root's attributes to the metadata. Weights stay readable where an attribute is not supported. */
  async function describe(top: FoundObject): Promise<void> {
    try {
      for (const [name, text] of await textsOf(file, top)) metadata.set(name, shown(text));
    } catch (error) {
      if (!(error instanceof RankscopeError) || error.code !== 'unsupported') throw error;
      notRead.push(`Its attributes cannot be read: ${error.found}.`);
    }
  }
}

/** Keras stores the state of its optimizer beside the weights. */
function isOptimizer(path: string): boolean {
  return /^(optimizer_weights|optimizer)(\/|$)/.test(path);
}

function shown(text: string): string {
  return text.length > MAX_SHOWN_TEXT ? `${text.slice(0, MAX_SHOWN_TEXT)}…` : text;
}
