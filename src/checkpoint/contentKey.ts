import { createHash } from 'node:crypto';
import { elementCount } from '../base/shape.ts';
import { CHUNK_BYTES } from '../bytes/limits.ts';
import type { Checkpoint, TensorInfo } from './checkpoint.ts';
import { givesStored } from './givesStored.ts';

/**
 * SHA-256 (hex) of a tensor's stored bytes with its dtype and shape: the same for the same values wherever they are stored. Where the
 * format cannot give stored bytes, of its decoded values.
 */
export async function contentKey(checkpoint: Checkpoint, tensor: TensorInfo, signal?: AbortSignal): Promise<string> {
  return (await digest(checkpoint, tensor, signal)).key;
}

/**
 * Groups, of two or more, of matrices in `tensors` that are the same: by shared storage or by equal bytes. Matrices of one repeated
 * value (fresh zeros or ones) are equal without being tied and are left apart. Reads 256 bytes of every matrix that has an equal in
 * dtype and shape, and the whole of those that agree there.
 */
export async function findTies(
  checkpoint: Checkpoint,
  tensors: readonly TensorInfo[] = checkpoint.tensors,
  signal?: AbortSignal,
): Promise<string[][]> {
  const byStorage = [...groupBy(tensors, (tensor) => tensor.storage).values()];
  const isMatrix = ([first]: TensorInfo[]) => first!.shape.filter((size) => size > 1).length >= 2;
  const matrices = byStorage.filter(isMatrix);
  const shapes = groupBy(matrices, ([first]) => `${first!.dtype} ${first!.shape.join('x')}`);
  const joined: TensorInfo[][] = byStorage.filter((group) => !isMatrix(group));
  for (const alike of shapes.values())
    for (const sampled of await splitBy(alike, SAMPLES_AT_ONCE, (tensor) => sample(checkpoint, tensor, signal)))
      for (const same of await splitBy(sampled, 1, (tensor) => wholeContent(checkpoint, tensor, signal)))
        joined.push(same.flat());
  return joined.filter((group) => group.length > 1).map((group) => group.map((tensor) => tensor.name));
}

/** Small reads that hide one another's latency. */
const SAMPLES_AT_ONCE = 32;

/** Splits groups of tied tensors by a property of their content; a single group is not even looked at. */
async function splitBy(
  groups: readonly TensorInfo[][],
  atOnce: number,
  property: (tensor: TensorInfo) => Promise<string>,
): Promise<TensorInfo[][][]> {
  if (groups.length < 2) return [[...groups]];
  const keys: string[] = [];
  for (let at = 0; at < groups.length; at += atOnce)
    keys.push(...(await Promise.all(groups.slice(at, at + atOnce).map((group) => property(group[0]!)))));
  return [...groupBy(groups, (_, index) => keys[index]!).values()];
}

async function sample(checkpoint: Checkpoint, tensor: TensorInfo, signal: AbortSignal | undefined): Promise<string> {
  const [begin, bytes] = middle(tensor.bytes, 256);
  const stored = checkpoint.readStored?.(tensor, begin, new Uint8Array(bytes), signal);
  if (stored) return Buffer.from(await stored).toString('latin1');
  const [start, length] = middle(elementCount(tensor.shape), 64);
  const values = new Float32Array(length);
  await checkpoint.read(tensor, start, values, signal);
  return Buffer.from(values.buffer).toString('latin1');
}

async function wholeContent(checkpoint: Checkpoint, tensor: TensorInfo, signal: AbortSignal | undefined) {
  const { key, constant } = await digest(checkpoint, tensor, signal);
  return constant ? `constant ${tensor.name}` : key;
}

/** `constant`: every element has the same bytes. */
async function digest(checkpoint: Checkpoint, tensor: TensorInfo, signal: AbortSignal | undefined) {
  const hash = createHash('sha256').update(`${tensor.dtype} ${tensor.shape.join('x')}\n`);
  const count = elementCount(tensor.shape);
  const elementSize = Math.max(1, Math.floor(tensor.bytes / Math.max(1, count)));
  let first: Buffer | undefined;
  let constant = true;
  const take = (bytes: Uint8Array, size: number) => {
    hash.update(bytes);
    const chunk = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    first ??= Buffer.from(chunk.subarray(0, size));
    // Shifted by one element against itself: equal there means equal throughout.
    constant &&=
      first.equals(chunk.subarray(0, size)) && chunk.subarray(size).equals(chunk.subarray(0, chunk.length - size));
  };
  if (givesStored(checkpoint, tensor)) {
    const step = CHUNK_BYTES - (CHUNK_BYTES % elementSize);
    for (let at = 0; at < tensor.bytes; at += step)
      take(
        (await checkpoint.readStored!(tensor, at, new Uint8Array(Math.min(step, tensor.bytes - at)), signal))!,
        elementSize,
      );
  } else {
    const values = new Float32Array(Math.min(count, CHUNK_BYTES / 4));
    for (let at = 0; at < count; at += values.length) {
      const part = values.subarray(0, Math.min(values.length, count - at));
      await checkpoint.read(tensor, at, part, signal);
      take(new Uint8Array(part.buffer, 0, part.byteLength), 4);
    }
  }
  return { key: hash.digest('hex'), constant };
}

function middle(length: number, wanted: number): [start: number, length: number] {
  const taken = Math.min(length, wanted);
  return [Math.floor((length - taken) / 2), taken];
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
