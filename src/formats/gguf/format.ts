import { basename, dirname, join } from 'node:path';
import { RankscopeError } from '../../base/errors.ts';
import { Allowance } from '../../bytes/allowance.ts';
import { MAX_GGUF_HEADER, MAX_SHARDS } from '../../bytes/limits.ts';
import { type FileSource, openFileSource } from '../../bytes/source/fileSource.ts';
import { type Checkpoint, checkpointOver, type GgufOriginal } from '../../checkpoint/checkpoint.ts';
import { StoredTensor } from '../../checkpoint/storedTensor.ts';
import type { Tensor } from '../../checkpoint/tensor.ts';
import type { Format, OpenContext } from '../format.ts';
import { BlockTensor } from './blockTensor.ts';
import { NeedMore } from './cursor.ts';
import { type GgufHeader, type GgufTensor, parseGgufHeader } from './header.ts';
import { readList } from './list.ts';

/*
 * Why our own reader. @huggingface/gguf, the parser of Hugging Face's hub, reads a header and no values. It accepts a
 * truncated file with tensors beyond its end, and returns shapes and offsets as BigInt, which everything here would
 * have to convert and check again. The values need decoders for all of ggml's block types anyway. This reader checks
 * every count, size and offset against the file, requires the data to be contiguous as ggml itself does, and stops at
 * named limits before it takes memory.
 */

/** The file format of llama.cpp: metadata, a tensor directory, and tensors in plain or block-quantized types. */
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
      header.tensors.map((tensor) => tensorOf(tensor, file, sources[file]!)),
    );
    refuseRepeats(source.name, tensors);
    const files = sources.map(({ identity }) => identity);
    const directory = {
      path,
      format: 'gguf',
      files,
      tensors,
      metadata: first.metadata,
      ...(sources.length === 1 && first.version > 1 && { original: originalOf(source, first) }),
      list: (key: string, cancel?: AbortSignal) => readList(source, first, key, cancel),
      warnings: remarks,
      security: [],
    };
    return checkpointOver(directory, sources);
  } catch (error) {
    await Promise.all(sources.slice(1).map((part) => part.close()));
    throw error;
  }
}

function originalOf(source: FileSource, { version, pairs, alignment, tensors }: GgufHeader): GgufOriginal {
  return {
    version,
    pairs,
    alignment,
    tensors: new Map(tensors.map(({ name, code, offset, bytes }) => [name, { code, offset, bytes }])),
    read: (offset, length, signal) => source.read(offset, length, signal),
  };
}

function tensorOf({ name, shape, type, offset, bytes }: GgufTensor, part: number, source: FileSource): Tensor {
  // Empty tensors may have the same offset without sharing storage.
  const storage = bytes > 0 ? `${part}:${offset}:${offset + bytes}` : `${part}:empty:${name}`;
  const stored = { name, shape, dtype: type.name, bytes, storage, file: source.identity, source, offset };
  return type.decode ? new BlockTensor(stored, type) : new StoredTensor(stored);
}

/**
 * The other files of a checkpoint that llama.cpp split, such as `name-00001-of-00003.gguf`. Their names are derived
 * from that of the first.
 */
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

function refuseRepeats(file: string, tensors: readonly Tensor[]): void {
  const names = new Set<string>();
  for (const { name } of tensors) {
    if (names.has(name))
      throw new RankscopeError('malformed', file, `two of its parts hold the tensor ${JSON.stringify(name)}`);
    names.add(name);
  }
}

/** Reads the header, whose length is not stored: each attempt reads four times as much as the one before. */
async function readHeader(
  source: FileSource,
  allowance: Allowance,
  signal: AbortSignal | undefined,
): Promise<GgufHeader> {
  const most = Math.min(source.size, MAX_GGUF_HEADER);
  for (let length = Math.min(1 << 20, most); ; length = Math.min(4 * length, most)) {
    // A failed attempt frees its memory, so only the successful one is paid for.
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
