import { RankscopeError } from '../../base/errors.ts';
import { bitsOf } from '../../bytes/decode.ts';
import { MAX_TENSORS } from '../../bytes/limits.ts';
import { scanPickles } from '../../bytes/pickle/scan.ts';
import { PickleSequence } from '../../bytes/pickle/sequence.ts';
import type { Seen } from '../../bytes/pickle/state.ts';
import { asKind, itemsOf } from '../../bytes/pickle/values.ts';
import type { ByteSource } from '../../bytes/source/byteSource.ts';
import type { FileSource } from '../../bytes/source/fileSource.ts';
import { memorySource } from '../../bytes/source/memorySource.ts';
import { type PickledDirectory, pickledDirectory, type StoragePlace } from './directory.ts';
import { storageReference } from './storageType.ts';

/** torch.serialization.MAGIC_NUMBER. */
const MAGIC_NUMBER = 0x1950a86a20f9469cfc6cn;
const PROTOCOL = 1001;
/** Memory of a storage's entry in bytes, apart from its key. */
const STORAGE_BYTES = 300;

/**
 * The format of torch.save before 1.6: pickles of the magic number, the protocol, the writer's platform, the object and
 * the keys of its storages, then each storage as a count (8 bytes) and its numbers, always little-endian. Any other
 * pickle is read as a lone object.
 */
export async function readPickleFile(source: FileSource, seen: Seen, signal?: AbortSignal): Promise<PickledDirectory> {
  const pickles = new PickleSequence(source, seen, signal);
  const first = await pickles.next();
  const { root, places } =
    first === MAGIC_NUMBER
      ? await readStorages(source, pickles, seen)
      : { root: first, places: await readInlined(source.name, source.size, seen, signal) };
  await scanPickles(source, pickles.at, seen, signal);
  return pickledDirectory(source.identity, root, (key) => places.get(key), seen.allowance);
}

/** Reads the object and locates its storages, which follow the magic number. */
async function readStorages(source: ByteSource, pickles: PickleSequence, seen: Seen) {
  const protocol = await pickles.next();
  if (protocol !== PROTOCOL) throw pickles.failure('malformed', `its protocol is ${String(protocol)}, not ${PROTOCOL}`);
  await pickles.next();
  const root = await pickles.next();
  const keys = itemsOf(await pickles.next());
  if (!keys || keys.length > MAX_TENSORS) throw pickles.failure('malformed', 'its list of storages is invalid');
  const sizes = elementSizes(seen);
  const places = new Map<string, StoragePlace>();
  for (const key of keys.map(String)) {
    const size = sizes.get(key);
    if (size === undefined) throw pickles.failure('malformed', `the type of storage ${JSON.stringify(key)} is unknown`);
    if (places.has(key)) throw pickles.failure('malformed', `it lists storage ${JSON.stringify(key)} twice`);
    const count = await pickles.int64();
    const bytes = count * size;
    if (!(count >= 0 && pickles.at + bytes <= source.size))
      throw new RankscopeError(
        'malformed',
        source.name,
        `storage ${JSON.stringify(key)} needs ${bytes} bytes, but the file ends after ${source.size - pickles.at} of them`,
        'It is cut off: copy or download it again',
      );
    seen.allowance.spend(STORAGE_BYTES + 2 * key.length);
    places.set(key, { source, offset: pickles.at, bytes, bigEndian: false });
    pickles.at += bytes;
  }
  return { root, places };
}

/**
 * Finds the storages inside a plain pickle (not written by torch.save), where each is a call of
 * torch.storage._load_from_bytes with a whole legacy file of one storage. Each call is resolved to a reference to that
 * storage under a new key.
 */
async function readInlined(
  file: string,
  fileSize: number,
  seen: Seen,
  signal: AbortSignal | undefined,
): Promise<ReadonlyMap<string, StoragePlace>> {
  const inlined = new Map<string, StoragePlace>();
  // In honest files the byte strings are distinct and not nested; hostile ones may nest, or refer to the same bytes
  // again and again.
  let left = 2 * fileSize;
  for (let i = 0; i < seen.inlined.length; i++) {
    const call = seen.inlined[i]!;
    const [bytes] = itemsOf(call.args) ?? [];
    if (!(bytes instanceof Uint8Array)) continue;
    left -= bytes.length;
    if (left < 0) throw new RankscopeError('malformed', file, 'the pickles inside it hold more bytes than the file');
    const nested: Seen = { ...seen, persistents: [] };
    const source = memorySource(file, bytes);
    const pickles = new PickleSequence(source, nested, signal);
    if ((await pickles.next()) !== MAGIC_NUMBER) continue;
    const { root, places } = await readStorages(source, pickles, nested);
    const reference = asKind(root, 'persistent');
    const storage = reference && storageReference(reference);
    const place = storage && places.get(storage.key);
    const [tag, type, , location, length, view] = itemsOf(reference?.id) ?? [];
    if (!place || tag === undefined || type === undefined || length === undefined) continue;
    const key = `inlined ${i}`;
    inlined.set(key, place);
    const items = [tag, type, key, location ?? null, length, ...(view === undefined ? [] : [view])];
    call.resolved = { kind: 'persistent', id: { kind: 'tuple', items } };
  }
  return inlined;
}

function elementSizes(seen: Seen): Map<string, number> {
  const sizes = new Map<string, number>();
  for (const persistent of seen.persistents) {
    const storage = storageReference(persistent);
    const bits = storage?.dtype === undefined ? undefined : bitsOf(storage.dtype);
    if (storage && bits !== undefined) sizes.set(storage.key, bits / 8);
  }
  return sizes;
}
