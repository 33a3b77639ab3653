import { basename, dirname, join } from 'node:path';
import { RankscopeError } from '../../base/errors.ts';
import { Allowance } from '../../bytes/allowance.ts';
import { MAX_GGUF_HEADER, MAX_SHARDS } from '../../bytes/limits.ts';
import { type FileSource, openFileSource } from '../../bytes/source/fileSource.ts';
import type { Checkpoint, TensorInfo } from '../../checkpoint/checkpoint.ts';
import { readStoredTensor, type StoredTensor, storedCheckpoint } from '../../checkpoint/storedCheckpoint.ts';
import type { Format, OpenContext } from '../format.ts';
import { NeedMore } from './cursor.ts';
import { blockDeviation } from './deviation.ts';
import { type GgufHeader, type GgufTensor, parseGgufHeader } from './header.ts';
import { readBlocks } from './readBlocks.ts';
import type { GgmlType } from './types.ts';

/** The file format of llama.cpp: metadata, tensor directory, tensors in plain or block-quantized types. */
export const gguf: Format = {
  name: 'gguf',
  extensions: ['.gguf'],
  recognizes: (head) => head.length >= 8 && String.fromCharCode(...head.subarray(0, 4)) === 'GGUF',
  entryOf: (names) => {
    const files = names.filter((name) => name.toLowerCase().endsWith('.gguf'));
    return files.length === 1 ? files[0] : files.find((name) => /-00001-of-\d{5}\.gguf$/i.test(name));
  },
  open: openGguf,
};

interface BlockTensor extends StoredTensor {
  readonly type: GgmlType;
}

async function openGguf(source: FileSource, { path, remarks, signal, allowance }: OpenContext): Promise<Checkpoint> {
  const first = await readHeader(source, allowance, signal);
  const sources = [source];
  try {
    for (const part of otherParts(source.name, first)) sources.push(await openFileSource(part));
    const headers = [first];
    for (const part of sources.slice(1)) {
      allowance.widen(part.size);
      headers.push(await readHeader(part, allowance, signal));
    }
    const tensors = headers.flatMap((header, file) =>
      header.tensors.map((tensor) => toStored(tensor, file, sources[file]!)),
    );
    refuseRepeats(source.name, tensors);
    const files = sources.map(({ identity }) => identity);
    const directory = {
      path,
      format: 'gguf',
      files,
      tensors,
      metadata: first.metadata,
      warnings: remarks,
      security: [],
    };
    return withBlocks(storedCheckpoint(directory, sources));
  } catch (error) {
    await Promise.all(sources.slice(1).map((part) => part.close()));
    throw error;
  }
}

function toStored({ name, shape, type, offset, bytes }: GgufTensor, file: number, source: FileSource): BlockTensor {
  // Empty tensors may share their place without being one.
  const storage = bytes > 0 ? `${file}:${offset}:${offset + bytes}` : `${file}:empty:${name}`;
  return { name, shape, dtype: type.name, bytes, storage, file, source, offset, type };
}

/** Adds the quantized types to a checkpoint that can read plain numbers. */
function withBlocks(plain: Checkpoint): Checkpoint {
  const isPlain = (tensor: TensorInfo) => (tensor as BlockTensor).type.decode === undefined;
  return {
    ...plain,
    async read(tensor, start, out, signal) {
      if (isPlain(tensor)) return readStoredTensor(tensor as BlockTensor, start, out, signal);
      return readBlocks(tensor as BlockTensor, start, out, signal);
    },
    readStored: (tensor, offset, out, signal) =>
      isPlain(tensor) ? plain.readStored?.(tensor, offset, out, signal) : undefined,
    quantizationDeviation: (tensor, start, length, signal) =>
      blockDeviation(tensor as BlockTensor, start, length, signal),
  };
}

/** The other files of a checkpoint that llama.cpp split: `name-00001-of-00003.gguf`. Their names come from the file's own name. */
function otherParts(file: string, { metadata }: GgufHeader): string[] {
  const count = Number(metadata.get('split.count') ?? 1);
  if (count <= 1) return [];
  const match = /^(.*)-(\d{5})-of-(\d{5})\.gguf$/i.exec(basename(file));
  if (!match || Number(match[3]) !== count || count > MAX_SHARDS || metadata.get('split.no') !== '0') {
    const found = `it is part ${Number(metadata.get('split.no')) + 1} of a checkpoint of ${count} files`;
    throw new RankscopeError(
      'unsupported',
      file,
      found,
      'Open the first part, named ...-00001-of-0000N.gguf as llama.cpp names it',
    );
  }
  const name = (part: number) => `${match[1]}-${String(part).padStart(5, '0')}-of-${match[3]}.gguf`;
  return Array.from({ length: count - 1 }, (_, i) => join(dirname(file), name(i + 2)));
}

function refuseRepeats(file: string, tensors: readonly TensorInfo[]): void {
  const names = new Set<string>();
  for (const { name } of tensors) {
    if (names.has(name))
      throw new RankscopeError('malformed', file, `two of its parts hold the tensor ${JSON.stringify(name)}`);
    names.add(name);
  }
}

/** The header's length is written nowhere: read some, and four times as much while that is not enough. */
async function readHeader(
  source: FileSource,
  allowance: Allowance,
  signal: AbortSignal | undefined,
): Promise<GgufHeader> {
  const most = Math.min(source.size, MAX_GGUF_HEADER);
  for (let length = Math.min(1 << 20, most); ; length = Math.min(4 * length, most)) {
    // What an attempt took is free again when it is given up.
    const attempt = new Allowance(source.name, allowance.remaining);
    try {
      const header = parseGgufHeader(source.name, await source.read(0, length, signal), source.size, attempt);
      allowance.spend(allowance.remaining - attempt.remaining);
      return header;
    } catch (error) {
      if (!(error instanceof NeedMore)) throw error;
      if (length < most) continue;
      const found =
        most < source.size
          ? `its header is longer than ${most} bytes`
          : `the file ends after ${most} bytes, inside its header`;
      throw new RankscopeError('malformed', source.name, found, 'It is damaged or cut off: copy or download it again');
    }
  }
}
