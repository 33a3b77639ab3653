import { RankscopeError, throwIfCancelled } from '../base/errors.ts';
import { writeTarget } from './target.ts';

/** A tensor to write; its content is requested when its turn comes. */
export interface TensorToWrite {
  readonly name: string;
  /** A type of safetensors. */
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly bytes: number;
  /** Exactly `bytes` bytes, row-major and little-endian, in pieces of any size. */
  content(signal?: AbortSignal): AsyncIterable<Uint8Array>;
}

export interface SafetensorsOptions {
  readonly out: string;
  readonly tensors: readonly TensorToWrite[];
  readonly metadata: ReadonlyMap<string, string>;
  readonly sources: readonly string[];
  readonly overwrite: boolean;
  readonly signal?: AbortSignal | undefined;
  readonly progress?: ((done: number, name: string) => void) | undefined;
}

/**
 * Writes a safetensors file: the header, then tensor after tensor, with at most one piece in memory. Tensors of wider
 * types come first, so that all are aligned; otherwise the order is kept. Returns the file's size.
 * @throws RankscopeError as `writeTarget` does.
 */
export async function writeSafetensors(options: SafetensorsOptions): Promise<number> {
  const { out, metadata, sources, overwrite, signal, progress } = options;
  const tensors = [...options.tensors].sort((a, b) => width(b.dtype) - width(a.dtype));
  const header = safetensorsHeader(tensors, metadata, out);
  const bytes = tensors.reduce((sum, tensor) => sum + tensor.bytes, header.length);
  await writeTarget({ out, sources, overwrite, bytes }, async (append) => {
    await append(header);
    for (const [done, tensor] of tensors.entries()) {
      throwIfCancelled(signal, out);
      progress?.(done, tensor.name);
      let written = 0;
      for await (const piece of tensor.content(signal)) {
        throwIfCancelled(signal, out);
        await append(piece);
        written += piece.length;
      }
      if (written !== tensor.bytes)
        throw new RankscopeError('engine', tensor.name, `${written} bytes instead of ${tensor.bytes}`);
    }
    throwIfCancelled(signal, out);
  });
  return bytes;
}

/**
 * What stands before the content of the tensors, which follow each other in this order. Composed by hand because a
 * tensor may be called `__proto__`; the JSON is padded to a multiple of 8 bytes.
 * @throws RankscopeError 'unsupported' for two tensors of one name
 */
export function safetensorsHeader(
  tensors: readonly Omit<TensorToWrite, 'content'>[],
  metadata: ReadonlyMap<string, string>,
  out: string,
): Uint8Array {
  const names = new Set<string>(['__metadata__']);
  const pairs = [...metadata].map(([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`);
  const entries = pairs.length > 0 ? [`"__metadata__":{${pairs.join(',')}}`] : [];
  let offset = 0;
  for (const { name, dtype, shape, bytes } of tensors) {
    if (names.has(name)) throw new RankscopeError('unsupported', out, `two tensors would be named ${name}`);
    names.add(name);
    const range = [offset, offset + bytes];
    entries.push(`${JSON.stringify(name)}:${JSON.stringify({ dtype, shape, data_offsets: range })}`);
    offset += bytes;
  }
  const text = new TextEncoder().encode(`{${entries.join(',')}}`);
  const length = Math.ceil(text.length / 8) * 8;
  const header = new Uint8Array(8 + length).fill(0x20);
  new DataView(header.buffer).setBigUint64(0, BigInt(length), true);
  header.set(text, 8);
  return header;
}

/** Bytes per element, from the bits in the name of the type. */
function width(dtype: string): number {
  return dtype === 'BOOL' ? 1 : Number(/\d+/.exec(dtype)?.[0] ?? 8) / 8;
}
