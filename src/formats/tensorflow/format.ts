import { basename, dirname, join } from 'node:path';
import { RankscopeError } from '../../base/errors.ts';
import { elementCount } from '../../base/shape.ts';
import { storedBytes } from '../../bytes/decode.ts';
import { type FileSource, openFileSource } from '../../bytes/source/fileSource.ts';
import { type Checkpoint, checkpointOver } from '../../checkpoint/checkpoint.ts';
import { StoredTensor } from '../../checkpoint/storedTensor.ts';
import type { Format, OpenContext } from '../format.ts';
import { parseBundle } from './bundle.ts';
import { readTable } from './sstable.ts';

/**
 * TensorFlow checkpoints: `name.index` and `name.data-0000i-of-0000n`. A SavedModel has them in its folder `variables`.
 */
export const tensorflow: Format = {
  name: 'tensorflow',
  extensions: ['.index'],
  // The table starts with the header under the empty name: a shared prefix of 0 bytes, a suffix of 0 bytes, then a
  // short value.
  recognizes: (head, size) =>
    size > 48 && head[0] === 0 && head[1] === 0 && head[2]! > 0 && head[2]! < 64 && head[3] === 8,
  entryOf: (names) => {
    if (names.includes('saved_model.pb')) return join('variables', 'variables.index');
    const indexes = names.filter((name) => name.endsWith('.index'));
    return indexes.length === 1 ? indexes[0] : undefined;
  },
  open: openTensorflow,
};

const SUFFIX = '/.ATTRIBUTES/VARIABLE_VALUE';

async function openTensorflow(
  source: FileSource,
  { path, remarks, signal, allowance }: OpenContext,
): Promise<Checkpoint> {
  const bundle = parseBundle(source.name, await readTable(source, allowance, signal));
  const kept = bundle.entries.filter(({ name }) => !isState(name));
  const sources = [source];
  for (const { name, shape } of bundle.entries) allowance.spendTensor(2 * name.length, shape.length);
  try {
    for (let i = 0; i < bundle.shards; i++)
      sources.push(await openFileSource(shardPath(source.name, i, bundle.shards)));
    const tensors = kept.map(({ name, dtype, shape, shard, offset, size }): StoredTensor => {
      const fail = (found: string) =>
        new RankscopeError(
          'malformed',
          source.name,
          `tensor ${JSON.stringify(name)} ${found}`,
          'It is damaged: copy or download it again',
        );
      const count = elementCount(shape);
      const expected = storedBytes(dtype, count) ?? size;
      if (!Number.isSafeInteger(count) || expected !== size)
        throw fail(`has ${size} bytes, but its shape ${shape.join(' x ')} in ${dtype} needs ${expected}`);
      const data = sources[shard + 1]!;
      if (!(offset + size <= data.size))
        throw fail(`should end at byte ${offset + size} of ${basename(data.name)}, which has ${data.size}`);
      const variable = name.endsWith(SUFFIX) ? name.slice(0, -SUFFIX.length) : name;
      return new StoredTensor({
        name: variable,
        shape,
        dtype,
        bytes: size,
        storage: size > 0 ? `${shard}:${offset}:${offset + size}` : `empty:${name}`,
        file: data.identity,
        source: data,
        offset,
        bigEndian: bundle.bigEndian,
      });
    });
    const omitted = bundle.entries.length - kept.length;
    const warnings = [
      ...remarks,
      ...(omitted ? [`${omitted} tensors of optimizer state and checkpoint bookkeeping are left out.`] : []),
      ...(bundle.sliced.length
        ? [`${bundle.sliced.length} partitioned variables are left out, because joining their parts is not supported.`]
        : []),
    ];
    const files = sources.map(({ identity }) => identity);
    return checkpointOver(
      { path, format: 'tensorflow', files, tensors, metadata: new Map(), warnings, security: [] },
      sources,
    );
  } catch (error) {
    await Promise.all(sources.slice(1).map((opened) => opened.close()));
    throw error;
  }
}

/** The path of a data file, derived from that of the index; no path is read from the file. */
function shardPath(index: string, shard: number, shards: number): string {
  const digits = (value: number) => String(value).padStart(5, '0');
  return join(dirname(index), `${basename(index).replace(/\.index$/, '')}.data-${digits(shard)}-of-${digits(shards)}`);
}

/** Whether a tensor is optimizer state or the checkpoint's own bookkeeping. */
function isState(name: string): boolean {
  return /\.OPTIMIZER_SLOT|^(_CHECKPOINTABLE_OBJECT_GRAPH|save_counter)|(^|\/)(optimizer|_optimizer|keras_api|global_step|beta[12]_power)(\/|$)|\/(Adam|Adam_1|Momentum|RMSProp|adam_[mv])$/.test(
    name,
  );
}
