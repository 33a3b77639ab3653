import { RankscopeError } from '../../base/errors.ts';
import type { Checkpoint } from '../checkpoint.ts';
import type { FileSource } from '../fileSource.ts';
import type { Format, OpenContext } from '../format.ts';
import { openHdf5 } from '../hdf5/format.ts';
import { openZip } from '../zip/archive.ts';

/** Where Keras 3 puts the weights in its archive. */
const WEIGHTS = 'model.weights.h5';

/** A `.keras` file: a zip archive with the weights as HDF5. Its configuration may name code, which nobody here runs. */
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
  if (!archive.entries.has(WEIGHTS)) {
    const found = `the archive holds no ${WEIGHTS}`;
    throw new RankscopeError('malformed', source.name, found, 'It is damaged: save the model again');
  }
  const weights = await archive.open(WEIGHTS, signal);
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
