import { RankscopeError } from '../../base/errors.ts';
import type { FileSource } from '../../bytes/source/fileSource.ts';
import { type Checkpoint, checkpointOver } from '../../checkpoint/checkpoint.ts';
import { StoredTensor } from '../../checkpoint/storedTensor.ts';
import type { Tensor } from '../../checkpoint/tensor.ts';
import type { Format, OpenContext } from '../format.ts';
import { groupedTensor } from './groups.ts';
import { type Layout, type Llama2c, layoutOf, readLlama2c } from './layout.ts';

/**
 * The `.bin` files of llama2.c (karpathy/llama2.c, export.py): a header of sizes, then unnamed matrices in a fixed
 * order, as f32 or, in version 2, as 8-bit integers with scales. The tensors are shown under their names in the
 * original LLaMA.
 */
export const llama2c: Format = {
  name: 'llama2.c',
  extensions: ['.bin'],
  recognizes(head, size) {
    const header = readLlama2c(head);
    return header !== undefined && layoutOf(header).end === size;
  },
  open: openLlama2c,
};

async function openLlama2c(source: FileSource, { path, remarks, signal, allowance }: OpenContext): Promise<Checkpoint> {
  const header = readLlama2c(await source.read(0, Math.min(256, source.size), signal));
  if (!header) throw new RankscopeError('malformed', source.name, 'this is not a llama2.c file');
  const layout = layoutOf(header);
  for (const { name, shape } of layout.tensors) allowance.spendTensor(name.length, shape.length);
  const tensors = layout.tensors.map(({ name, shape, offset, bytes, grouped }): Tensor => {
    const at = { file: source.identity, source };
    const storage = `0:${offset}:${offset + bytes}`;
    if (!grouped) return new StoredTensor({ ...at, name, shape, dtype: 'F32', bytes, storage, offset });
    const groups = bytes / header.groupSize;
    const codes = new StoredTensor({ ...at, name, shape, dtype: 'I8', bytes, storage, offset });
    const place = { storage, offset: offset + bytes };
    const scales = new StoredTensor({ ...at, name, shape: [groups], dtype: 'F32', bytes: 4 * groups, ...place });
    return groupedTensor(codes, scales, header.groupSize);
  });
  return checkpointOver(
    {
      path,
      format: 'llama2.c',
      files: [source.identity],
      tensors,
      metadata: metadataOf(header, layout),
      warnings: [...remarks],
      security: [],
    },
    [source],
  );
}

function metadataOf(header: Llama2c, layout: Layout): Map<string, string> {
  const { version, sharedClassifier, groupSize, ...sizes } = header;
  return new Map([
    ['version', String(version)],
    ['parameters', String(layout.tensors.reduce((sum, tensor) => sum + tensor.bytes / (tensor.grouped ? 1 : 4), 0))],
    ...(version === 2 ? [['groupSize', String(groupSize)] as const] : []),
    ...Object.entries(sizes).map(([key, value]): [string, string] => [key, String(value)]),
  ]);
}
