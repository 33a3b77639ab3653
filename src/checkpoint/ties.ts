import { createHash } from 'node:crypto';
import { elementCount } from '../base/shape.ts';
import { CHUNK_BYTES } from '../bytes/limits.ts';
import type { FileIdentity } from '../bytes/source/fileSource.ts';
import type { Tensor, TensorDescription } from './tensor.ts';

/**
 * Groups of tensors that are tied: by equal `storage` in one file, or by equal content as found by `equalContent`. Each
 * group is in the checkpoint's order, and its first name represents it; groups are disjoint.
 * @param equal groups of names with equal content, joined with those of equal storage.
 */
export function ties(
  tensors: readonly TensorDescription[],
  equal: readonly (readonly string[])[] = [],
): readonly (readonly string[])[] {
  const groupOf = new Map<string, Set<string>>();
  const join = (names: readonly string[]) => {
    const whole = new Set<string>();
    for (const name of names) for (const other of groupOf.get(name) ?? [name]) whole.add(other);
    for (const name of whole) groupOf.set(name, whole);
  };
  // Empty tensors may have the same offset without sharing anything.
  const byStorage = groupByStorage(tensors.filter(({ bytes }) => bytes > 0));
  for (const group of byStorage) if (group.length > 1) join(group.map(({ name }) => name));
  for (const names of equal) join(names);

  const order = new Map(tensors.map(({ name }, k) => [name, k]));
  return [...new Set(groupOf.values())]
    .map((group) => [...group].filter((name) => order.has(name)).sort((a, b) => order.get(a)! - order.get(b)!))
    .filter((group) => group.length > 1)
    .sort((a, b) => order.get(a[0]!)! - order.get(b[0]!)!);
}

/** The tensors with each tied group counted once, by its first. */
export function untied<Described extends TensorDescription>(
  tensors: readonly Described[],
  groups: readonly (readonly string[])[],
): readonly Described[] {
  const repeated = new Set(groups.flatMap((group) => group.slice(1)));
  return repeated.size === 0 ? tensors : tensors.filter(({ name }) => !repeated.has(name));
}

/** The number of elements, counting tied tensors once. */
export function countParameters(tensors: readonly TensorDescription[], groups: readonly (readonly string[])[]): number {
  return untied(tensors, groups).reduce((sum, { shape }) => sum + elementCount(shape), 0);
}

/**
 * Groups of two or more equal matrices: by shared storage or by equal bytes. Matrices of one repeated value (freshly
 * initialized zeros or ones) are equal without being tied and are kept apart. Reads 256 bytes of every matrix that
 * shares its dtype and shape with another, and the whole of those that agree there.
 */
export async function equalContent(tensors: readonly Tensor[], signal?: AbortSignal): Promise<string[][]> {
  const byStorage = groupByStorage(tensors);
  const isMatrix = ([first]: readonly Tensor[]) => first!.shape.filter((size) => size > 1).length >= 2;
  const matrices = byStorage.filter(isMatrix);
  const shapes = groupBy(matrices, ([first]) => `${first!.dtype} ${first!.shape.join('x')}`);
  const joined: Tensor[][] = byStorage.filter((group) => !isMatrix(group));
  for (const alike of shapes.values())
    for (const sampled of await splitBy(alike, SAMPLES_AT_ONCE, (tensor) => sample(tensor, signal)))
      for (const same of await splitBy(sampled, 1, (tensor) => wholeContent(tensor, signal))) joined.push(same.flat());
  return joined.filter((group) => group.length > 1).map((group) => group.map((tensor) => tensor.name));
}

/** Concurrent small reads, to hide their latency. */
const SAMPLES_AT_ONCE = 32;

/** Splits groups of tied tensors by a property of their content; a single group is returned unread. */
async function splitBy(
  groups: readonly Tensor[][],
  atOnce: number,
  property: (tensor: Tensor) => Promise<string>,
): Promise<Tensor[][][]> {
  if (groups.length < 2) return [[...groups]];
  const keys: string[] = [];
  for (let at = 0; at < groups.length; at += atOnce)
    keys.push(...(await Promise.all(groups.slice(at, at + atOnce).map((group) => property(group[0]!)))));
  return [...groupBy(groups, (_, index) => keys[index]!).values()];
}

async function sample(tensor: Tensor, signal: AbortSignal | undefined): Promise<string> {
  if (tensor.readStored) {
    const [begin, bytes] = middle(tensor.bytes, 256);
    return Buffer.from(await tensor.readStored(begin, new Uint8Array(bytes), signal)).toString('latin1');
  }
  const [start, length] = middle(elementCount(tensor.shape), 64);
  const values = new Float32Array(length);
  await tensor.read(start, values, signal);
  return Buffer.from(values.buffer).toString('latin1');
}

async function wholeContent(tensor: Tensor, signal: AbortSignal | undefined): Promise<string> {
  const { key, constant } = await digest(tensor, signal);
  return constant ? `constant ${tensor.name}` : key;
}

/**
 * SHA-256 (hex) of a tensor's stored bytes with its dtype and shape, or of its decoded values if there are no stored
 * bytes to be had: the same for the same values wherever they are stored. `constant` tells whether all elements have
 * the same bytes.
 */
async function digest(tensor: Tensor, signal: AbortSignal | undefined) {
  const hash = createHash('sha256').update(`${tensor.dtype} ${tensor.shape.join('x')}\n`);
  const count = elementCount(tensor.shape);
  const elementSize = Math.max(1, Math.floor(tensor.bytes / Math.max(1, count)));
  let first: Buffer | undefined;
  let constant = true;
  const take = (bytes: Uint8Array, size: number) => {
    hash.update(bytes);
    const chunk = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    first ??= Buffer.from(chunk.subarray(0, size));
    // Equal to itself shifted by one element means constant.
    constant &&=
      first.equals(chunk.subarray(0, size)) && chunk.subarray(size).equals(chunk.subarray(0, chunk.length - size));
  };
  if (tensor.readStored) {
    const step = CHUNK_BYTES - (CHUNK_BYTES % elementSize);
    for (let at = 0; at < tensor.bytes; at += step) {
      const part = new Uint8Array(Math.min(step, tensor.bytes - at));
      take(await tensor.readStored(at, part, signal), elementSize);
    }
  } else {
    const values = new Float32Array(Math.min(count, CHUNK_BYTES / 4));
    for (let at = 0; at < count; at += values.length) {
      const part = values.subarray(0, Math.min(values.length, count - at));
      await tensor.read(at, part, signal);
      take(new Uint8Array(part.buffer, 0, part.byteLength), 4);
    }
  }
  return { key: hash.digest('hex'), constant };
}

function middle(length: number, wanted: number): [start: number, length: number] {
  const taken = Math.min(length, wanted);
  return [Math.floor((length - taken) / 2), taken];
}

/** Groups tensors that share storage, in the order of their first members. */
function groupByStorage<Described extends TensorDescription>(tensors: readonly Described[]): Described[][] {
  const byFile = new Map<FileIdentity, Map<string, Described[]>>();
  const groups: Described[][] = [];
  for (const tensor of tensors) {
    const inFile = byFile.get(tensor.file) ?? new Map<string, Described[]>();
    byFile.set(tensor.file, inFile);
    const group = inFile.get(tensor.storage);
    if (group) {
      group.push(tensor);
      continue;
    }
    const started = [tensor];
    inFile.set(tensor.storage, started);
    groups.push(started);
  }
  return groups;
}

function groupBy<T>(items: readonly T[], keyOf: (item: T, index: number) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const [index, item] of items.entries()) {
    const key = keyOf(item, index);
    const group = groups.get(key);
    if (group) group.push(item);
    else groups.set(key, [item]);
  }
  return groups;
}
