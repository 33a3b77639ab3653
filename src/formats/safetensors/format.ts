import { RankscopeError } from '../../base/errors.ts';
import { MAX_SAFETENSORS_HEADER } from '../../bytes/limits.ts';
import type { FileSource } from '../../bytes/source/fileSource.ts';
import { checkpointOver } from '../../checkpoint/checkpoint.ts';
import { StoredTensor } from '../../checkpoint/storedTensor.ts';
import type { Format, OpenContext } from '../format.ts';
import { parseHeader } from './header.ts';

/**
 * Safetensors (https://huggingface.co/docs/safetensors): the header length as u64, a JSON header, then the bytes of the
 * tensors.
 */
export const safetensors: Format = {
  name: 'safetensors',
  extensions: ['.safetensors'],
  recognizes(head, size) {
    if (head.length < 10) return false;
    const length = headerLength(head);
    if (length < 2n || length > BigInt(Math.min(size - 8, MAX_SAFETENSORS_HEADER))) return false;
    return /^\s*\{\s*["}]/.test(Buffer.from(head.subarray(8)).toString('latin1'));
  },
  entryOf(names) {
    for (const known of ['model.safetensors', 'adapter_model.safetensors']) if (names.includes(known)) return known;
    const all = names.filter((name) => name.toLowerCase().endsWith('.safetensors'));
    return all.length === 1 ? all[0] : undefined;
  },
  open: openSafetensors,
};

async function openSafetensors(source: FileSource, { path, remarks, signal, allowance }: OpenContext) {
  const file = source.name;
  if (source.size < 8)
    throw tooShort(
      file,
      `the file has ${source.size} bytes, but a safetensors file starts with an 8-byte header length`,
    );
  const length = headerLength(await source.read(0, 8, signal));
  if (length > BigInt(MAX_SAFETENSORS_HEADER))
    throw new RankscopeError(
      'malformed',
      file,
      `its first 8 bytes claim a header of ${length} bytes, but at most ${MAX_SAFETENSORS_HEADER} are allowed`,
      'It is damaged or not a safetensors file',
    );
  const begin = 8 + Number(length);
  if (begin > source.size)
    throw tooShort(file, `its header needs ${length} bytes, but the file ends after ${source.size - 8} of them`);
  allowance.spend(Number(length));
  const bytes = await source.read(8, Number(length), signal);
  const header = parseHeader(
    file,
    Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length),
    source.size - begin,
    allowance,
  );
  const tensors = header.entries.map(
    (entry) =>
      new StoredTensor({
        name: entry.name,
        shape: entry.shape,
        dtype: entry.dtype,
        bytes: entry.end - entry.begin,
        // Empty tensors may have equal offsets without sharing storage.
        storage: entry.end > entry.begin ? `0:${entry.begin}:${entry.end}` : `0:empty:${entry.name}`,
        file: source.identity,
        source,
        offset: begin + entry.begin,
      }),
  );
  const warnings = header.duplicates.map(
    (name) => `The header lists ${JSON.stringify(name)} more than once; the last entry is shown.`,
  );
  return checkpointOver(
    {
      path,
      format: 'safetensors',
      files: [source.identity],
      tensors,
      metadata: header.metadata,
      warnings: [...remarks, ...warnings],
      security: [],
    },
    [source],
  );
}

function headerLength(head: Uint8Array): bigint {
  return new DataView(head.buffer, head.byteOffset, head.byteLength).getBigUint64(0, true);
}

function tooShort(file: string, found: string): RankscopeError {
  return new RankscopeError('malformed', file, found, 'It is cut off: copy or download it again');
}
