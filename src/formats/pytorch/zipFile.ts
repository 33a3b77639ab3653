import { RankscopeError } from '../../base/errors.ts';
import { MAX_PICKLE_BYTES, MAX_SCANNED_BYTES, MAX_SCANNED_PICKLES } from '../../bytes/limits.ts';
import { isPickle, scanPickles } from '../../bytes/pickle/scan.ts';
import { PickleSequence } from '../../bytes/pickle/sequence.ts';
import type { Seen } from '../../bytes/pickle/state.ts';
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
  await scanOtherPickles(archive, root, seen, signal);
  const read = async (name: string) => {
    const size = archive.entries.get(name)?.size ?? 0;
    if (size > MAX_PICKLE_BYTES)
      throw new RankscopeError('too-large', file, `${name} has ${size} bytes; at most ${MAX_PICKLE_BYTES}`);
    const source = await archive.open(name, signal);
    const pickles = new PickleSequence(source, seen, signal);
    const value = await pickles.next();
    await scanPickles(source, pickles.at, seen, signal);
    return value;
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
  const main = pickledDirectory(identity, await read(`${root}data.pkl`), locateIn('data'), seen.allowance);
  const parts = [main];
  if (archive.entries.has(`${root}constants.pkl`)) {
    const constants = await read(`${root}constants.pkl`);
    parts.push(pickledDirectory(identity, constants, locateIn('constants'), seen.allowance, 'constants.'));
  }
  const code = [...archive.entries.keys()].some((name) => name.startsWith(`${root}code/`));
  return {
    tensors: parts.flatMap(({ tensors }) => tensors),
    remarks: [
      ...parts.flatMap(({ remarks }) => remarks),
      ...(code ? ['This TorchScript archive contains program code, which is neither read nor run.'] : []),
    ],
  };
}

/**
 * Scans the pickles beside those that torch loads, whatever their names: all entries but storages and program code that
 * end in .pkl or begin as a pickle does.
 */
async function scanOtherPickles(
  archive: ZipArchive,
  root: string,
  seen: Seen,
  signal: AbortSignal | undefined,
): Promise<void> {
  const others = [...archive.entries.keys()].filter(
    (name) =>
      !(name.startsWith(root) && /^((data|constants)\.pkl$|(data|constants|code)\/)/.test(name.slice(root.length))),
  );
  if (others.length > MAX_SCANNED_PICKLES) seen.hasUnscanned = true;
  for (const name of others.slice(0, MAX_SCANNED_PICKLES)) await scanEntry(archive, name, seen, signal);
}

async function scanEntry(
  archive: ZipArchive,
  name: string,
  seen: Seen,
  signal: AbortSignal | undefined,
): Promise<void> {
  try {
    const named = /\.(pkl|pickle|pt|pth|bin)$/i.test(name);
    if (!named && !isPickle(await archive.start(name, signal))) return;
    // A compressed entry is unpacked into memory to be scanned.
    if (archive.entries.get(name)!.size > MAX_SCANNED_BYTES) seen.hasUnscanned = true;
    else await scanPickles(await archive.open(name, signal), 0, seen, signal);
  } catch (error) {
    if (!(error instanceof RankscopeError) || error.code === 'cancelled') throw error;
    seen.hasUnscanned = true;
  }
}
