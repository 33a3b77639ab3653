import { RankscopeError } from '../../base/errors.ts';
import { elementCount } from '../../base/shape.ts';
import { MAX_SCANNED_BYTES } from '../../bytes/limits.ts';
import { scanPickles } from '../../bytes/pickle/scan.ts';
import { findingsOf, warningsOf, withWarnings } from '../../bytes/pickle/security.ts';
import { nothingSeen, type Seen } from '../../bytes/pickle/state.ts';
import type { ByteSource } from '../../bytes/source/byteSource.ts';
import type { FileIdentity, FileSource } from '../../bytes/source/fileSource.ts';
import { lazySource } from '../../bytes/source/lazySource.ts';
import { memorySource } from '../../bytes/source/memorySource.ts';
import { columnMajor, isRowMajor } from '../../bytes/strides.ts';
import { openZip, type ZipArchive } from '../../bytes/zip/archive.ts';
import { type Checkpoint, checkpointOver } from '../../checkpoint/checkpoint.ts';
import { StoredTensor } from '../../checkpoint/storedTensor.ts';
import type { Format, OpenContext } from '../format.ts';
import { isNpy, type NpyHeader, readNpyHeader } from './header.ts';

/** A single array, as numpy.save writes it. */
export const npy: Format = {
  name: 'npy',
  extensions: ['.npy'],
  recognizes: isNpy,
  async open(source, context) {
    const header = await readNpyHeader(source, 'the file', context.signal);
    const tensor = tensorOf(source.identity, 'array', header, source, source.size);
    const seen = nothingSeen(context.allowance);
    if (!tensor) {
      if (isOfObjects(header)) await scanPickles(source, header.dataOffset, seen, context.signal);
      throw new RankscopeError(
        'unsupported',
        source.name,
        `it contains an array of type ${header.described}, which is not numeric`,
        withWarnings('Load it where you trust it, and write its arrays with numpy.savez', seen),
      );
    }
    return checkpointOf('npy', source, context, [tensor], [], seen);
  },
};

/** Named arrays, as numpy.savez and numpy.savez_compressed write them: a zip archive of .npy files. */
export const npz: Format = {
  name: 'npz',
  extensions: ['.npz'],
  recognizes: () => false,
  recognizesArchive: (names) => names.length > 0 && names.every((name) => name.endsWith('.npy')),
  async open(source, context) {
    const archive = await openZip(source, context.signal, context.allowance);
    const tensors: StoredTensor[] = [];
    const omissions: string[] = [];
    const seen = nothingSeen(context.allowance);
    for (const [name, { size, method }] of archive.entries) {
      const { header, content } = await openArray(archive, name, context.signal);
      const tensor = tensorOf(source.identity, name.slice(0, -4), header, content, size);
      if (tensor) tensors.push(tensor);
      else {
        omissions.push(`${JSON.stringify(name)} has the non-numeric type ${header.described} and is left out.`);
        if (!isOfObjects(header)) continue;
        // A compressed entry is unpacked into memory to be scanned.
        if (method !== 'stored' && size > MAX_SCANNED_BYTES) seen.hasUnscanned = true;
        else await scanPickles(content, header.dataOffset, seen, context.signal);
      }
    }
    return checkpointOf('npz', source, context, tensors, omissions, seen);
  },
};

/** An array of objects is a pickle, which `numpy.load(allow_pickle=True)` would run. */
const isOfObjects = ({ described }: NpyHeader): boolean => /O/.test(described);

async function openArray(archive: ZipArchive, name: string, signal: AbortSignal | undefined) {
  const what = `its entry ${name}`;
  const entry = archive.entries.get(name)!;
  // A stored entry is read in place. A deflated one is decompressed from its start once its values are needed.
  if (entry.method === 'stored') {
    const content = await archive.open(name, signal);
    return { header: await readNpyHeader(content, what, signal), content };
  }
  const start = memorySource(archive.source.name, await archive.start(name, signal));
  const header = await readNpyHeader(start, what, signal);
  return { header, content: lazySource(start.name, entry.size, (signal) => archive.open(name, signal)) };
}

function tensorOf(
  file: FileIdentity,
  name: string,
  header: NpyHeader,
  source: ByteSource,
  size: number,
): StoredTensor | undefined {
  const { type, shape, fortran, dataOffset } = header;
  if (!type) return undefined;
  const bytes = elementCount(shape) * type.bytes;
  if (!(bytes <= size - dataOffset))
    throw new RankscopeError(
      'malformed',
      source.name,
      `array ${JSON.stringify(name)} of shape [${shape.join(', ')}] needs ${bytes} bytes, but ${size - dataOffset} are stored`,
      'It is cut off: copy or download it again',
    );
  const strides = fortran ? columnMajor(shape) : undefined;
  return new StoredTensor({
    name,
    shape,
    dtype: type.dtype,
    bytes,
    storage: `array ${name}`,
    file,
    source,
    offset: dataOffset,
    bigEndian: type.bigEndian,
    ...(strides && !isRowMajor(shape, strides) ? { strides } : {}),
  });
}

function checkpointOf(
  format: string,
  source: FileSource,
  { path, remarks }: OpenContext,
  tensors: readonly StoredTensor[],
  omissions: readonly string[],
  seen: Seen,
): Checkpoint {
  return checkpointOver(
    {
      path,
      format,
      files: [source.identity],
      tensors,
      metadata: new Map(),
      warnings: [...remarks, ...omissions, ...warningsOf(seen)],
      security: findingsOf(seen),
    },
    [source],
  );
}
