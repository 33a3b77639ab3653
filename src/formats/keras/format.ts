import { RankscopeError } from '../../base/errors.ts';
import { MAX_KERAS_UNPACKED } from '../../bytes/limits.ts';
import type { ByteSource } from '../../bytes/source/byteSource.ts';
import type { FileSource } from '../../bytes/source/fileSource.ts';
import { memorySource } from '../../bytes/source/memorySource.ts';
import { openZip, type ZipArchive } from '../../bytes/zip/archive.ts';
import type { Checkpoint } from '../../checkpoint/checkpoint.ts';
import type { Format, OpenContext } from '../format.ts';
import { openHdf5 } from '../hdf5/format.ts';

/** The archive entry in which Keras 3 stores the weights. */
const WEIGHTS = 'model.weights.h5';

/**
 * A `.keras` file: a zip archive with the weights as HDF5. The configuration in it, which may refer to code, is not
 * read.
 */
export const keras: Format = {
  name: 'keras',
  extensions: ['.keras'],
  recognizes: () => false,
  recognizesArchive: (names) => names.includes(WEIGHTS),
  open: openKeras,
};

async function openKeras(source: FileSource, context: OpenContext): Promise<Checkpoint> {
  const { path, remarks, signal, allowance } = context;
  const archive = await openZip(source, signal, allowance);
  const weights = await weightsIn(archive, signal);
  const checkpoint = await openHdf5(weights, {
    path,
    format: 'keras',
    files: [source.identity],
    remarks,
    allowance,
    signal,
  });
  return {
    ...checkpoint,
    async close() {
      await checkpoint.close();
      await source.close();
    },
  };
}

async function weightsIn(archive: ZipArchive, signal: AbortSignal | undefined): Promise<ByteSource> {
  const { name } = archive.source;
  const entry = archive.entries.get(WEIGHTS);
  if (!entry) {
    const found = `the archive has no entry ${WEIGHTS}`;
    throw new RankscopeError('malformed', name, found, 'It is damaged: save the model again');
  }
  // Compressed entries can be read only forwards, while HDF5 needs random access: starting over for each of 150 layers
  // took minutes. Keras itself does not compress the entry; if it has been repacked with compression, it is unpacked
  // into memory.
  if (entry.method === 'deflated' && entry.size > MAX_KERAS_UNPACKED) {
    const found = `its ${WEIGHTS} is compressed and has ${entry.size} bytes; at most ${MAX_KERAS_UNPACKED} are unpacked`;
    throw new RankscopeError('too-large', name, found, `Unpack the archive and open ${WEIGHTS}`);
  }
  const weights = await archive.open(WEIGHTS, signal);
  return entry.method === 'deflated' ? memorySource(name, await weights.read(0, entry.size, signal)) : weights;
}
