import { RankscopeError, throwIfCancelled } from '../base/errors.ts';
import type { GgufOriginal } from '../checkpoint/checkpoint.ts';
import type { Tensor } from '../checkpoint/tensor.ts';
import type { TensorToWrite } from './safetensorsWriter.ts';
import { writeTarget } from './target.ts';

export interface GgufToWrite {
  readonly out: string;
  readonly original: GgufOriginal;
  /** All tensors of the source, in order. */
  readonly tensors: readonly Tensor[];
  /** What takes the places of some, by name. */
  readonly replaced: ReadonlyMap<string, TensorToWrite>;
  readonly sources: readonly string[];
  readonly overwrite: boolean;
  readonly signal?: AbortSignal | undefined;
  readonly progress?: ((done: number, total: number, name: string) => void) | undefined;
}

/** ggml's numbers of the types in which tensors are replaced. */
const CODES: Readonly<Record<string, number>> = { F32: 0, F16: 1, F64: 28, BF16: 30 };
const PIECE = 4 << 20;

/** The bytes of the file, from sizes alone. @throws RankscopeError as `headerOf` does */
export function ggufBytes(request: Pick<GgufToWrite, 'out' | 'original' | 'tensors' | 'replaced'>): number {
  const { original, tensors } = request;
  const padded = (bytes: number) => Math.ceil(bytes / original.alignment) * original.alignment;
  const header = 24 + original.pairs.bytes + directoryOf(request).length;
  return tensors.reduce((at, tensor) => padded(at + bytesOf(tensor, request)), padded(header));
}

/**
 * Writes a GGUF file with the metadata of another, and all its tensors byte for byte but those that are replaced
 * (ggml/docs/gguf.md). Returns its size.
 * @throws RankscopeError as `writeTarget` does, and what the tensors throw
 */
export async function writeGguf(request: GgufToWrite): Promise<number> {
  const { out, original, tensors, replaced, sources, overwrite, signal, progress } = request;
  const { version, pairs, alignment } = original;
  const bytes = ggufBytes(request);
  await writeTarget({ out, sources, overwrite, bytes }, async (append) => {
    let at = 0;
    const put = async (piece: Uint8Array) => {
      throwIfCancelled(signal, out);
      await append(piece);
      at += piece.length;
    };
    const pad = () => put(new Uint8Array((alignment - (at % alignment)) % alignment));
    const head = new DataView(new ArrayBuffer(24));
    for (const [k, letter] of [...'GGUF'].entries()) head.setUint8(k, letter.charCodeAt(0));
    head.setUint32(4, version, true);
    head.setBigUint64(8, BigInt(tensors.length), true);
    head.setBigUint64(16, BigInt(pairs.count), true);
    await put(new Uint8Array(head.buffer));
    for (const [from, length] of pieces(pairs.offset, pairs.bytes))
      await put(await original.read(from, length, signal));
    await put(directoryOf(request));
    await pad();
    for (const [done, { name }] of tensors.entries()) {
      progress?.(done, tensors.length, name);
      const start = at;
      const other = replaced.get(name);
      if (other) for await (const piece of other.content(signal)) await put(piece);
      else {
        const { offset, bytes: own } = original.tensors.get(name)!;
        for (const [from, length] of pieces(offset, own)) await put(await original.read(from, length, signal));
      }
      const wanted = other?.bytes ?? original.tensors.get(name)!.bytes;
      if (at - start !== wanted) throw new RankscopeError('engine', name, `${at - start} bytes instead of ${wanted}`);
      await pad();
    }
  });
  return bytes;
}

/** The directory of tensors: name, sizes (innermost first), type, and offset behind the header. */
function directoryOf(request: Pick<GgufToWrite, 'out' | 'original' | 'tensors' | 'replaced'>): Uint8Array {
  const { original, tensors, replaced } = request;
  let offset = 0;
  const entries = tensors.map((tensor) => {
    const other = replaced.get(tensor.name);
    const code = other ? CODES[other.dtype] : original.tensors.get(tensor.name)?.code;
    if (code === undefined)
      throw new RankscopeError('unsupported', request.out, `${tensor.name} has no type that GGUF knows`);
    const name = new TextEncoder().encode(tensor.name);
    const sizes = tensor.shape.toReversed();
    const entry = new Uint8Array(8 + name.length + 4 + 8 * sizes.length + 4 + 8);
    const view = new DataView(entry.buffer);
    view.setBigUint64(0, BigInt(name.length), true);
    entry.set(name, 8);
    let at = 8 + name.length;
    view.setUint32(at, sizes.length, true);
    at += 4;
    for (const size of sizes) {
      view.setBigUint64(at, BigInt(size), true);
      at += 8;
    }
    view.setUint32(at, code, true);
    view.setBigUint64(at + 4, BigInt(offset), true);
    offset = Math.ceil((offset + bytesOf(tensor, request)) / original.alignment) * original.alignment;
    return entry;
  });
  const directory = new Uint8Array(entries.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const entry of entries) {
    directory.set(entry, at);
    at += entry.length;
  }
  return directory;
}

function bytesOf({ name }: Tensor, { original, replaced }: Pick<GgufToWrite, 'original' | 'replaced'>): number {
  return replaced.get(name)?.bytes ?? original.tensors.get(name)?.bytes ?? 0;
}

function* pieces(offset: number, bytes: number): Generator<readonly [from: number, length: number]> {
  for (let at = 0; at < bytes; at += PIECE) yield [offset + at, Math.min(PIECE, bytes - at)];
}
