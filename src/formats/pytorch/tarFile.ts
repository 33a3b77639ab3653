import { RankscopeError } from '../../base/errors.ts';
import { bitsOf } from '../../bytes/decode.ts';
import { MAX_DIMENSIONS, MAX_TAR_MEMBERS, MAX_TENSORS } from '../../bytes/limits.ts';
import { scanPickles } from '../../bytes/pickle/scan.ts';
import { PickleSequence } from '../../bytes/pickle/sequence.ts';
import type { Seen } from '../../bytes/pickle/state.ts';
import { asKind, itemsOf, type Value } from '../../bytes/pickle/values.ts';
import type { ByteSource } from '../../bytes/source/byteSource.ts';
import type { FileSource } from '../../bytes/source/fileSource.ts';
import { sliceSource } from '../../bytes/source/sliceSource.ts';
import { type PickledDirectory, pickledDirectory, type StoragePlace } from './directory.ts';
import { isCount, storageType } from './storageType.ts';

export function isTorchTar(head: Uint8Array): boolean {
  return Buffer.from(head.subarray(257, 262)).toString('latin1') === 'ustar';
}

/**
 * The format of torch.save in 0.1: a tar archive of `storages` (pickled descriptions, each followed by a count and the
 * numbers), `tensors` (views of storages) and `pickle` (the object, which refers to tensors by number).
 */
export async function readTorchTar(source: FileSource, seen: Seen, signal?: AbortSignal): Promise<PickledDirectory> {
  const members = await tarMembers(source, signal);
  const member = (name: string) => {
    const found = members.get(name);
    if (!found)
      throw new RankscopeError(
        'not-a-checkpoint',
        source.name,
        `this tar archive has no entry ${name}, so it is not a PyTorch file`,
        'Unpack it and open its files',
      );
    return found;
  };
  const storages = await readStorages(new PickleSequence(member('storages'), seen, signal), member('storages'));
  const tensors = await readTensors(new PickleSequence(member('tensors'), seen, signal), storages);
  const pickles = new PickleSequence(member('pickle'), seen, signal);
  const root = await pickles.next();
  await scanPickles(member('pickle'), pickles.at, seen, signal);
  return pickledDirectory(
    source.identity,
    withTensors(root, tensors),
    (key) => storages.get(key)?.place,
    seen.allowance,
  );
}

interface TarStorage {
  readonly type: Value;
  readonly count: number;
  readonly place: StoragePlace;
}

async function readStorages(pickles: PickleSequence, source: ByteSource): Promise<Map<string, TarStorage>> {
  const storages = new Map<string, TarStorage>();
  for (let left = await countOf(pickles); left > 0; left--) {
    const [key, , type] = itemsOf(await pickles.next()) ?? [];
    const dtype = storageType(type);
    if (type === undefined || dtype === undefined) throw pickles.failure('malformed', 'a storage has an unknown type');
    const count = await pickles.int64();
    const bytes = (count * bitsOf(dtype)!) / 8;
    if (!(count >= 0 && pickles.at + bytes <= source.size)) throw pickles.failure('malformed', 'a storage is cut off');
    storages.set(String(key), { type, count, place: { source, offset: pickles.at, bytes, bigEndian: false } });
    pickles.at += bytes;
  }
  for (const view of itemsOf(await pickles.next()) ?? []) {
    const [key, root, offset, count] = itemsOf(view) ?? [];
    const whole = storages.get(String(root));
    if (!whole || !isCount(offset) || !isCount(count))
      throw pickles.failure('malformed', 'a view of a storage is invalid');
    const size = bitsOf(storageType(whole.type)!)! / 8;
    if ((offset + count) * size > whole.place.bytes)
      throw pickles.failure('malformed', 'a view extends beyond its storage');
    const place = { ...whole.place, offset: whole.place.offset + offset * size, bytes: count * size };
    storages.set(String(key), { type: whole.type, count, place });
  }
  return storages;
}

/** The tensors by key, each as the call that torch.save writes for it today. */
async function readTensors(
  pickles: PickleSequence,
  storages: ReadonlyMap<string, TarStorage>,
): Promise<Map<string, Value>> {
  const tensors = new Map<string, Value>();
  for (let left = await countOf(pickles); left > 0; left--) {
    const [key, storageKey] = itemsOf(await pickles.next()) ?? [];
    const storage = storages.get(String(storageKey));
    const dimensions = await pickles.paddedInt32();
    if (!storage || !(dimensions >= 0 && dimensions <= MAX_DIMENSIONS))
      throw pickles.failure('malformed', 'a tensor is invalid');
    const numbers: number[] = [];
    for (let i = 0; i < 2 * dimensions + 1; i++) numbers.push(await pickles.int64());
    const tuple = (items: Value[]): Value => ({ kind: 'tuple', items });
    const id = tuple(['storage', storage.type, String(storageKey), 'cpu', storage.count]);
    tensors.set(String(key), {
      kind: 'call',
      callable: { kind: 'global', module: 'torch._utils', name: '_rebuild_tensor' },
      args: tuple([
        { kind: 'persistent', id },
        numbers[2 * dimensions]!,
        tuple(numbers.slice(0, dimensions)),
        tuple(numbers.slice(dimensions, 2 * dimensions)),
      ]),
    });
  }
  return tensors;
}

async function countOf(pickles: PickleSequence): Promise<number> {
  const count = await pickles.next();
  if (!isCount(count) || count > MAX_TENSORS) throw pickles.failure('malformed', 'a count is invalid');
  return count;
}

/** Replaces, in place, each reference to a tensor by that tensor. */
function withTensors(root: Value, tensors: ReadonlyMap<string, Value>): Value {
  const seen = new Set<object>();
  const resolved = (value: Value): Value => {
    const persistent = asKind(value, 'persistent');
    return (persistent && tensors.get(String(itemsOf(persistent.id)?.[0] ?? persistent.id))) ?? value;
  };
  const waiting: Value[] = [root];
  for (let value = waiting.pop(); value !== undefined; value = waiting.pop()) {
    if (typeof value !== 'object' || value === null || !('kind' in value) || seen.has(value)) continue;
    seen.add(value);
    if ('items' in value && value.items)
      for (const [i, item] of value.items.entries()) {
        value.items[i] = resolved(item);
        waiting.push(value.items[i]);
      }
    if ('entries' in value && value.entries)
      for (const [i, item] of value.entries.entries()) {
        value.entries[i] = resolved(item);
        waiting.push(value.entries[i]);
      }
    if (value.kind === 'call') {
      if (value.state !== undefined) {
        value.state = resolved(value.state);
        waiting.push(value.state);
      }
      waiting.push(value.args);
    }
  }
  return resolved(root);
}

/** The regular files of a tar archive by name. */
async function tarMembers(source: ByteSource, signal: AbortSignal | undefined): Promise<Map<string, ByteSource>> {
  const members = new Map<string, ByteSource>();
  for (let at = 0; at + 512 <= source.size; ) {
    const header = Buffer.from(await source.read(at, 512, signal));
    if (header.every((byte) => byte === 0)) break;
    const field = (start: number, end: number) => header.toString('latin1', start, end).split('\0')[0]!.trim();
    const size = Number.parseInt(field(124, 136), 8);
    if (!(size >= 0 && at + 512 + size <= source.size) || members.size > MAX_TAR_MEMBERS)
      throw new RankscopeError(
        'malformed',
        source.name,
        'this tar archive is damaged or cut off',
        'Copy or download it again',
      );
    const isFile = header[156] === 0 || header[156] === 0x30;
    if (isFile) members.set(field(0, 100).replace(/^\.\//, ''), sliceSource(source, at + 512, size));
    at += 512 + Math.ceil(size / 512) * 512;
  }
  return members;
}
