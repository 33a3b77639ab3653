import { RankscopeError } from '../../base/errors.ts';
import type { Checkpoint } from '../checkpoint.ts';
import type { FileSource } from '../fileSource.ts';
import type { Format, OpenContext } from '../format.ts';
import { type StoredTensor, storedCheckpoint } from '../storedCheckpoint.ts';
import { type Layout, type Llama2c, layoutOf, readLlama2c } from './layout.ts';

/**
 * llama2.c's `.bin` (karpathy/llama2.c, export.py): a header of sizes, then f32 matrices in a fixed order, without names. Names are those
 * of the original LLaMA.
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

async function openLlama2c(source: FileSource, { path, remarks, signal }: OpenContext): Promise<Checkpoint> {
  const header = readLlama2c(await source.read(0, Math.min(256, source.size), signal));
  if (!header) throw new RankscopeError('malformed', source.name, 'this is no llama2.c file');
  const layout = layoutOf(header);
  const tensors = layout.tensors.map(
    ({ name, shape, offset, bytes }): StoredTensor => ({
      name,
      shape,
      dtype: 'F32',
      bytes,
      storage: `0:${offset}:${offset + bytes}`,
      file: 0,
      source,
      offset,
    }),
  );
  return storedCheckpoint(
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
  const { version, sharedClassifier, ...sizes } = header;
  return new Map([
    ['version', String(version)],
    ['parameters', String(layout.tensors.reduce((sum, tensor) => sum + tensor.bytes / 4, 0))],
    ...Object.entries(sizes).map(([key, value]): [string, string] => [key, String(value)]),
  ]);
}
