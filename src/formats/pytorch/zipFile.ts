import { RankscopeError } from '../../base/errors.ts';
import { Allowance } from '../../bytes/allowance.ts';
import { MAX_PICKLE_BYTES, MAX_SCAN_MEMORY, MAX_SCANNED_BYTES, MAX_SCANNED_PICKLES } from '../../bytes/limits.ts';
import { PickleSequence } from '../../bytes/pickle/sequence.ts';
import type { Seen } from '../../bytes/pickle/state.ts';
import type { Value } from '../../bytes/pickle/values.ts';
import type { FileIdentity } from '../../bytes/source/fileSource.ts';
import { lazySource } from '../../bytes/source/lazySource.ts';
import type { ZipArchive } from '../../bytes/zip/archive.ts';
import { type PickledDirectory, pickledDirectory, type StoragePlace } from './directory.ts';

const PICKLE = /^(.*\/|)data\.pkl$/;

/** Whether an archive with these entries was written by torch.save or torch.jit.save. */
export function isTorchArchive(names: Iterable<string>): boolean {
  for (const name of names) if (PICKLE.test(name)) return true;
  return false;
}

/**
 * The format of torch.save since 1.6 and torch.jit.save: `<root>/data.pkl`, with the storages as `<root>/data/<key>`.
 */
export async function readTorchArchive(
  identity: FileIdentity,
  archive: ZipArchive,
  seen: Seen,
  signal?: AbortSignal,
): Promise<PickledDirectory> {
  const file = archive.source.name;
  const roots = [...archive.entries.keys()].flatMap((name) => PICKLE.exec(name)?.[1] ?? []);
  if (roots.length !== 1)
    throw new RankscopeError(
      'malformed',
      file,
      `it contains ${roots.length} files data.pkl, and readers may disagree on which to load`,
    );
  const root = roots[0]!;
  const order = await archive.text(`${root}byteorder`, signal);
  const read = async (name: string) => {
    const size = archive.entries.get(name)?.size ?? 0;
    if (size > MAX_PICKLE_BYTES)
      throw new RankscopeError('too-large', file, `${name} has ${size} bytes; at most ${MAX_PICKLE_BYTES}`);
    return new PickleSequence(await archive.open(name, signal), seen, signal).next();
  };
  const locateIn = (folder: string) => {
    const places = new Map<string, StoragePlace>();
    return (key: string): StoragePlace | undefined => {
      const entry = archive.entries.get(`${root}${folder}/${key}`);
      if (!entry) return undefined;
      let place = places.get(key);
      if (!place) {
        const source = lazySource(file, entry.size, (signal) => archive.open(entry.name, signal));
        place = { source, offset: 0, bytes: entry.size, bigEndian: order?.trim() === 'big', set: folder };
        places.set(key, place);
      }
      return place;
    };
  };
  await scanOtherPickles(archive, root, seen, signal);
  const main = pickledDirectory(identity, await read(`${root}data.pkl`), locateIn('data'), seen.allowance);
  if (!archive.entries.has(`${root}constants.pkl`)) return main;
  const constants: Value = await read(`${root}constants.pkl`);
  const more = pickledDirectory(identity, constants, locateIn('constants'), seen.allowance, 'constants.');
  const code = [...archive.entries.keys()].some((name) => name.startsWith(`${root}code/`));
  return {
    tensors: [...main.tensors, ...more.tensors],
    remarks: [
      ...main.remarks,
      ...more.remarks,
      ...(code ? ['This TorchScript archive contains program code, which is neither read nor run.'] : []),
    ],
  };
}

/**
 * Scans the pickles beside the one that torch loads. They are not part of the checkpoint, but what they would call is
 * reported.
 */
async function scanOtherPickles(
  archive: ZipArchive,
  root: string,
  seen: Seen,
  signal: AbortSignal | undefined,
): Promise<void> {
  const pickles = [...archive.entries.values()].filter(
    ({ name, size }) =>
      /\.(pkl|pickle)$/.test(name) &&
      size <= MAX_SCANNED_BYTES &&
      !/^(data|constants)\.pkl$/.test(name.slice(root.length)),
  );
  const allowance = new Allowance(archive.source.name, MAX_SCAN_MEMORY);
  for (const { name } of pickles.slice(0, MAX_SCANNED_PICKLES))
    try {
      const scan = { ...seen, persistents: [], inlined: [], allowance };
      await new PickleSequence(await archive.open(name, signal), scan, signal).next();
    } catch (error) {
      if (!(error instanceof RankscopeError) || error.code === 'cancelled') throw error;
    }
}
