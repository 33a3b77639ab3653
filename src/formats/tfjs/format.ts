import { RankscopeError } from '../../base/errors.ts';
import { elementCount } from '../../base/shape.ts';
import { storedBytes } from '../../bytes/decode.ts';
import { MAX_JSON_FILE } from '../../bytes/limits.ts';
import type { ByteSource } from '../../bytes/source/byteSource.ts';
import { concatSource } from '../../bytes/source/concatSource.ts';
import { type FileSource, openFileSource } from '../../bytes/source/fileSource.ts';
import { siblingPath } from '../../bytes/source/siblingPath.ts';
import { type Checkpoint, checkpointOver } from '../../checkpoint/checkpoint.ts';
import { StoredTensor } from '../../checkpoint/storedTensor.ts';
import { descriptionOf, type Tensor } from '../../checkpoint/tensor.ts';
import type { Format, OpenContext } from '../format.ts';
import { parseManifest, type Weight } from './manifest.ts';

/** TensorFlow.js models: a `model.json` with a manifest of weights, and the binary files that contain them. */
export const tfjs: Format = {
  name: 'tfjs',
  extensions: ['model.json'],
  recognizes: (head) => {
    const text = Buffer.from(head).toString('latin1');
    return /^\s*\{/.test(text) && /"(modelTopology|weightsManifest|format"\s*:\s*"(graph|layers)-model)"/.test(text);
  },
  entryOf: (names) =>
    names.includes('model.json') && names.some((name) => name.endsWith('.bin')) ? 'model.json' : undefined,
  open: openTfjs,
};

async function openTfjs(source: FileSource, { path, remarks, signal, allowance }: OpenContext): Promise<Checkpoint> {
  if (source.size > MAX_JSON_FILE)
    throw new RankscopeError(
      'too-large',
      source.name,
      `it has ${source.size} bytes; at most ${MAX_JSON_FILE} are read of a model.json`,
    );
  const { groups, metadata } = parseManifest(source.name, await source.read(0, source.size, signal), allowance);
  const files: FileSource[] = [source];
  try {
    const tensors: Tensor[] = [];
    const names = new Set<string>();
    for (const [at, { paths, weights }] of groups.entries()) {
      const first = files.length;
      for (const name of paths) files.push(await openFileSource(await siblingPath(source.name, name, 'weights file')));
      const group = concatSource(source.name, files.slice(first));
      let offset = 0;
      for (const weight of weights) {
        const { name, shape, dtype, stored } = weight;
        if (names.has(name))
          throw new RankscopeError('malformed', source.name, `weight ${JSON.stringify(name)} is listed twice`);
        names.add(name);
        const bytes = await weightBytes(source.name, weight, group, offset, signal);
        const storage = bytes > 0 ? `${at}:${offset}:${offset + bytes}` : `${at}:empty:${name}`;
        const values = new StoredTensor({
          name,
          shape,
          dtype: stored?.dtype ?? dtype,
          bytes,
          storage,
          file: files[first]?.identity ?? source.identity,
          source: group,
          offset,
        });
        tensors.push(stored && !stored.dtype.startsWith('F') ? quantized(values, dtype, stored) : values);
        offset += bytes;
      }
    }
    const identities = files.map(({ identity }) => identity);
    return checkpointOver(
      { path, format: 'tfjs', files: identities, tensors, metadata, warnings: remarks, security: [] },
      files,
    );
  } catch (error) {
    await Promise.all(files.slice(1).map((opened) => opened.close()));
    throw error;
  }
}

/**
 * The stored size of a weight. Strings are prefixed by their lengths, so they have to be walked.
 * @throws RankscopeError 'malformed' if the files end before the weight does.
 */
async function weightBytes(
  file: string,
  { name, shape, dtype, stored }: Weight,
  group: ByteSource,
  offset: number,
  signal?: AbortSignal,
): Promise<number> {
  const count = elementCount(shape);
  const fail = (found: string) =>
    new RankscopeError(
      'malformed',
      file,
      `weight ${JSON.stringify(name)} ${found}`,
      'Its files are incomplete: download them again',
    );
  if (dtype !== 'STRING') {
    const bytes = storedBytes(stored?.dtype ?? dtype, count) ?? Number.NaN;
    if (!Number.isSafeInteger(count) || !(offset + bytes <= group.size))
      throw fail(`should end at byte ${offset + bytes} of ${group.size}`);
    return bytes;
  }
  let at = offset;
  // Each string takes at least the 4 bytes of its length.
  if (!(offset + 4 * count <= group.size)) throw fail(`has ${count} strings, more than its files can contain`);
  for (let i = 0; i < count; i++) {
    const length = new DataView((await group.read(at, 4, signal)).buffer).getUint32(0, true);
    at += 4 + length;
    if (at > group.size) throw fail(`should end at byte ${at} of ${group.size}`);
  }
  return at - offset;
}

/** The dequantized tensor of the stored `codes` q: value = q * scale + min. */
function quantized(codes: StoredTensor, dtype: string, { scale, min }: NonNullable<Weight['stored']>): Tensor {
  return {
    ...descriptionOf(codes),
    dtype: `${dtype} (${codes.dtype})`,
    async read(start, out, signal) {
      await codes.read(start, out, signal);
      for (let i = 0; i < out.length; i++) out[i] = out[i]! * scale + min;
    },
  };
}
