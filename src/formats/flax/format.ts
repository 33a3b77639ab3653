import { RankscopeError } from '../../base/errors.ts';
import { elementCount } from '../../base/shape.ts';
import { storedBytes } from '../../bytes/decode.ts';
import { concatSource } from '../../bytes/source/concatSource.ts';
import type { FileSource } from '../../bytes/source/fileSource.ts';
import { sliceSource } from '../../bytes/source/sliceSource.ts';
import { type Checkpoint, checkpointOver } from '../../checkpoint/checkpoint.ts';
import { StoredTensor } from '../../checkpoint/storedTensor.ts';
import type { Format, OpenContext } from '../format.ts';
import { type MsgpackArray, MsgpackSearch } from './msgpack.ts';

/** Flax checkpoints as flax.serialization.to_bytes writes them: nested msgpack maps of arrays. */
export const flax: Format = {
  name: 'flax',
  extensions: ['.msgpack'],
  recognizes: beginsAsFlax,
  entryOf: (names) => ['flax_model.msgpack'].find((name) => names.includes(name)),
  open: openFlax,
};

/**
 * Msgpack has no magic number, so the content must start with a map whose first key is a short string and whose first
 * value is a map or array.
 */
function beginsAsFlax(head: Uint8Array): boolean {
  const [code = 0] = head;
  const key = code > 0x80 && code < 0x90 ? 1 : code === 0xde ? 3 : code === 0xdf ? 5 : head.length;
  const length = (head[key] ?? 0) - 0xa0;
  if (length < 1 || length > 31) return false;
  const value = head[key + 1 + length] ?? 0;
  const isArray = (value >= 0xc7 && value <= 0xc9) || (value >= 0xd4 && value <= 0xd8);
  return (
    /^[\w./-]+$/.test(Buffer.from(head.subarray(key + 1, key + 1 + length)).toString('latin1')) &&
    (isArray || (value >= 0x80 && value < 0x90) || value === 0xde || value === 0xdf)
  );
}

async function openFlax(source: FileSource, { path, remarks, signal, allowance }: OpenContext): Promise<Checkpoint> {
  const arrays = await new MsgpackSearch(source, allowance, signal).run();
  const tensors: StoredTensor[] = [];
  const nonNumeric: string[] = [];
  for (const array of arrays) {
    const tensor = tensorOf(source, array);
    if (tensor) tensors.push(tensor);
    else nonNumeric.push(array.name);
  }
  if (tensors.length === 0)
    throw new RankscopeError('not-a-checkpoint', source.name, 'this msgpack file contains no arrays');
  return checkpointOver(
    {
      path,
      format: 'flax',
      files: [source.identity],
      tensors,
      metadata: new Map(),
      warnings: [
        ...remarks,
        ...(nonNumeric.length ? [`${nonNumeric.length} non-numeric arrays are left out (${nonNumeric[0]}).`] : []),
      ],
      security: [],
    },
    [source],
  );
}

function tensorOf(source: FileSource, { name, shape, type, pieces }: MsgpackArray): StoredTensor | undefined {
  const dtype = TYPES.get(type);
  if (dtype === undefined) return undefined;
  const bytes = pieces.reduce((sum, piece) => sum + piece.bytes, 0);
  const count = elementCount(shape);
  if (storedBytes(dtype, count) !== bytes)
    throw new RankscopeError(
      'malformed',
      source.name,
      `the array ${JSON.stringify(name)}, ${type} of shape [${shape.join(', ')}], has ${bytes} bytes`,
      'It is damaged: copy or download it again',
    );
  const stored = { name, shape, dtype, bytes, storage: `0:${pieces[0]!.offset}:${name}`, file: source.identity };
  if (pieces.length === 1) return new StoredTensor({ ...stored, source, offset: pieces[0]!.offset });
  const parts = pieces.map((piece) => sliceSource(source, piece.offset, piece.bytes));
  return new StoredTensor({ ...stored, source: concatSource(source.name, parts), offset: 0 });
}

const TYPES = new Map([
  ['float64', 'F64'],
  ['float32', 'F32'],
  ['float16', 'F16'],
  ['bfloat16', 'BF16'],
  ['float8_e4m3fn', 'F8_E4M3'],
  ['float8_e5m2', 'F8_E5M2'],
  ['int64', 'I64'],
  ['int32', 'I32'],
  ['int16', 'I16'],
  ['int8', 'I8'],
  ['uint64', 'U64'],
  ['uint32', 'U32'],
  ['uint16', 'U16'],
  ['uint8', 'U8'],
  ['bool', 'BOOL'],
  ['complex64', 'C64'],
]);
