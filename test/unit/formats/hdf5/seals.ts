import { Allowance } from '../../../../src/bytes/allowance.ts';
import type { ByteSource } from '../../../../src/bytes/source/byteSource.ts';
import { memorySource } from '../../../../src/bytes/source/memorySource.ts';
import { lookup3 } from '../../../../src/formats/hdf5/file/lookup3.ts';
import { openHdf5 } from '../../../../src/formats/hdf5/format.ts';

/** A structure with a checksum: its place, and the offset of the checksum in it. */
export interface Seal {
  readonly offset: number;
  readonly length: number;
  readonly checksum: number;
}

const LAST = 4;
/**
 * The head of a heap's block has its checksum within: behind its signature, version, the heap's address and its own
 * place.
 */
const IN_BLOCK = Array.from({ length: 13 }, (_, i) => 9 + i);

/** Every structure with a checksum that the reader encounters in an intact file. */
export async function sealsOf(bytes: Uint8Array): Promise<Seal[]> {
  const source = memorySource('whole', bytes);
  const seals = new Map<number, Seal>();
  const note = (offset: number, length: number) => {
    const part = bytes.subarray(offset, offset + length);
    const signature = Buffer.from(part.subarray(0, 4)).toString('latin1');
    for (const checksum of signature === 'FHDB' ? IN_BLOCK : [length - LAST])
      if (checksum >= 4 && checksum + LAST <= length && checksumOf(part, checksum) === readAt(part, checksum))
        seals.set(offset, { offset, length, checksum });
  };
  const noting: ByteSource = {
    ...source,
    async read(offset, length) {
      note(offset, length);
      return await source.read(offset, length);
    },
  };
  const context = { path: 'whole', format: 'hdf5', files: [], remarks: [], allowance: new Allowance('whole') };
  const checkpoint = await openHdf5(noting, context);
  for (const tensor of checkpoint.tensors)
    await tensor.read(0, new Float32Array(Math.min(1, tensor.bytes))).catch(() => {});
  return [...seals.values()];
}

/** Corrects the checksums of all structures in `bytes`, in place. */
export function reseal(bytes: Uint8Array, seals: readonly Seal[]): Uint8Array {
  for (const { offset, length, checksum } of seals) {
    const part = bytes.subarray(offset, offset + length);
    if (part.length < length) continue;
    new DataView(part.buffer, part.byteOffset).setUint32(checksum, checksumOf(part, checksum), true);
  }
  return bytes;
}

function checksumOf(part: Uint8Array, checksum: number): number {
  return checksum + LAST === part.length ? lookup3(part.subarray(0, checksum)) : lookup3(part, checksum);
}

function readAt(part: Uint8Array, at: number): number {
  return new DataView(part.buffer, part.byteOffset).getUint32(at, true);
}
