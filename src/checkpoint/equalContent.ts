import { groupBy } from '../base/groupBy.ts';
import { elementCount } from '../base/shape.ts';
import { CHUNK_BYTES } from '../bytes/limits.ts';
import type { Tensor } from './tensor.ts';
import { groupByStorage } from './ties.ts';

/**
 * Groups of two or more equal matrices: by shared storage or by equal bytes. Matrices of one repeated value (freshly
 * initialized zeros or ones) are equal without being tied and are kept apart.
 *
 * A checkpoint of hundreds of gigabytes must not be read for this, so each step reads only what the one before left
 * over: the shape and dtype, 256 bytes of each matrix, two more samples, and at last the whole of matrices that agree
 * in all of them, the smallest first. Matrices whose samples hold one repeated value are read only if they are small.
 */
export async function equalContent(tensors: readonly Tensor[], signal?: AbortSignal): Promise<string[][]> {
  const byStorage: Tied[] = groupByStorage(tensors);
  const isMatrix = ([first]: Tied) => first!.shape.filter((size) => size > 1).length >= 2;
  const joined: Tied[] = byStorage.filter((group) => !isMatrix(group));
  const byShape = groupBy(byStorage.filter(isMatrix), ([first]) => `${first!.dtype} ${first!.shape.join('x')}`);
  let alike: Tied[][] = [...byShape.values()];
  for (const at of SAMPLED_AT) alike = await splitBySample(alike, at, joined, signal);
  alike.sort(([a], [b]) => a![0]!.bytes - b![0]!.bytes);
  for (const groups of alike) joined.push(...(await sameThroughout(groups, signal)));
  return joined.filter((group) => group.length > 1).map((group) => group.map((tensor) => tensor.name));
}

/** Tied tensors, which have one content. */
type Tied = readonly Tensor[];

/** Where samples are taken, as shares of the tensor's length. */
const SAMPLED_AT = [0.5, 0.21, 0.83];
const SAMPLE_BYTES = 256;
/** Concurrent small reads, to hide their latency. */
const SAMPLES_AT_ONCE = 32;

/** Splits each set of candidates by a sample of their content; a candidate that is alone moves to `alone`. */
async function splitBySample(
  sets: readonly Tied[][],
  at: number,
  alone: Tied[],
  signal: AbortSignal | undefined,
): Promise<Tied[][]> {
  const split: Tied[][] = [];
  for (const candidates of sets) {
    if (candidates.length < 2) {
      alone.push(...candidates);
      continue;
    }
    const samples: string[] = [];
    for (let from = 0; from < candidates.length; from += SAMPLES_AT_ONCE) {
      const some = candidates.slice(from, from + SAMPLES_AT_ONCE);
      samples.push(...(await Promise.all(some.map(([first]) => sample(first!, at, signal)))));
    }
    const bySample = groupBy(candidates.keys(), (index) => samples[index]!);
    for (const indices of bySample.values()) split.push(indices.map((index) => candidates[index]!));
  }
  return split;
}

async function sample(tensor: Tensor, at: number, signal: AbortSignal | undefined): Promise<string> {
  const content = contentOf(tensor);
  const length = Math.min(content.length, SAMPLE_BYTES - (SAMPLE_BYTES % content.unit));
  const start = Math.floor((at * (content.length - length)) / content.unit) * content.unit;
  return Buffer.from(await content.read(start, length, signal)).toString('latin1');
}

/** The most that is read of candidates that seem to hold one repeated value, in bytes. */
const REPEATED_READ_LIMIT = 1 << 20;

/** Joins those of the candidates, whose samples agree, that are equal throughout. */
async function sameThroughout(candidates: readonly Tied[], signal: AbortSignal | undefined): Promise<Tied[]> {
  const first = candidates[0]?.[0];
  if (candidates.length < 2 || !first) return [...candidates];
  const seemsRepeated = await isRepeated(first, SAMPLED_AT, signal);
  if (seemsRepeated && first.bytes * candidates.length > REPEATED_READ_LIMIT) return [...candidates];
  const apart: Tied[] = [];
  const classes: Tensor[][] = [];
  for (const tied of candidates) {
    const tensor = tied[0]!;
    if (seemsRepeated && (await isRepeated(tensor, null, signal))) {
      apart.push(tied);
      continue;
    }
    let found: Tensor[] | undefined;
    for (const known of classes) if (!found && (await isEqual(known[0]!, tensor, signal))) found = known;
    if (found) found.push(...tied);
    else classes.push([...tied]);
  }
  return [...apart, ...classes];
}

/** Whether all elements have the same bytes: in the samples at these places, or everywhere. */
async function isRepeated(
  tensor: Tensor,
  places: readonly number[] | null,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  const content = contentOf(tensor);
  let value: Buffer | undefined;
  const repeats = (bytes: Uint8Array): boolean => {
    const part = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    value ??= Buffer.from(part.subarray(0, content.unit));
    // Equal to itself shifted by one element means constant.
    return (
      value.equals(part.subarray(0, content.unit)) &&
      part.subarray(content.unit).equals(part.subarray(0, part.length - content.unit))
    );
  };
  if (places) {
    for (const at of places) if (!repeats(Buffer.from(await sample(tensor, at, signal), 'latin1'))) return false;
    return true;
  }
  for (const [start, length] of chunks(content)) if (!repeats(await content.read(start, length, signal))) return false;
  return true;
}

/** Stops at the first difference. Reading and comparing takes less time than a digest of both. */
async function isEqual(a: Tensor, b: Tensor, signal: AbortSignal | undefined): Promise<boolean> {
  const [one, other] = [contentOf(a), contentOf(b)];
  if (one.length !== other.length) return false;
  for (const [start, length] of chunks(one)) {
    const parts = await Promise.all([one.read(start, length, signal), other.read(start, length, signal)]);
    if (Buffer.compare(...parts) !== 0) return false;
  }
  return true;
}

/** What is compared of a tensor: its stored bytes or, where there are none to be had, its decoded values. */
interface Content {
  /** In bytes. */
  readonly length: number;
  /** Bytes of an element. */
  readonly unit: number;
  read(start: number, length: number, signal: AbortSignal | undefined): Promise<Uint8Array>;
}

function contentOf(tensor: Tensor): Content {
  const count = elementCount(tensor.shape);
  if (tensor.readStored) {
    return {
      length: tensor.bytes,
      unit: Math.max(1, Math.floor(tensor.bytes / Math.max(1, count))),
      read: (start, length, signal) => tensor.readStored!(start, new Uint8Array(length), signal),
    };
  }
  return {
    length: 4 * count,
    unit: 4,
    async read(start, length, signal) {
      const values = new Float32Array(length / 4);
      await tensor.read(start / 4, values, signal);
      return new Uint8Array(values.buffer);
    },
  };
}

function* chunks({ length, unit }: Content): Generator<[start: number, length: number]> {
  const step = CHUNK_BYTES - (CHUNK_BYTES % unit);
  for (let start = 0; start < length; start += step) yield [start, Math.min(step, length - start)];
}
