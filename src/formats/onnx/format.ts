import { RankscopeError } from '../../base/errors.ts';
import { elementCount } from '../../base/shape.ts';
import { bitsOf } from '../../bytes/decode.ts';
import { MAX_SHARDS } from '../../bytes/limits.ts';
import { type FileSource, openFileSource } from '../../bytes/source/fileSource.ts';
import { siblingPath } from '../../bytes/source/siblingPath.ts';
import { type Checkpoint, checkpointOver } from '../../checkpoint/checkpoint.ts';
import { StoredTensor } from '../../checkpoint/storedTensor.ts';
import type { Tensor, TensorDescription } from '../../checkpoint/tensor.ts';
import type { Format, OpenContext } from '../format.ts';
import { dequantized } from './dequantized.ts';
import { readModel } from './graph.ts';
import { DTYPES, listedTensor } from './listed.ts';
import type { ListedValues, TensorProto } from './tensorProto.ts';
import { Wire } from './wire.ts';

/** Open Neural Network Exchange: initializers and constants, in the file itself or in files beside it. */
export const onnx: Format = {
  name: 'onnx',
  extensions: ['.onnx', '.ort'],
  // A ModelProto starts with its ir_version, a small number.
  recognizes: (head, size) =>
    size > 8 &&
    head[0] === 8 &&
    head[1]! > 0 &&
    head[1]! < 64 &&
    [0x12, 0x1a, 0x22, 0x28, 0x32, 0x3a, 0x42].includes(head[2]!),
  entryOf: (names) => {
    const files = names.filter((name) => name.toLowerCase().endsWith('.onnx'));
    return files.length === 1 ? files[0] : files.find((name) => name === 'model.onnx');
  },
  open: openOnnx,
};

/** Where the values of a tensor are: in a range of a file, or listed individually in its message. */
type Place = Pick<TensorDescription, 'dtype' | 'bytes' | 'storage' | 'file'> &
  Pick<StoredTensor, 'source' | 'offset'> & { readonly listed?: ListedValues };

async function openOnnx(source: FileSource, { path, remarks, signal, allowance }: OpenContext): Promise<Checkpoint> {
  const {
    tensors: protos,
    rightOperands,
    recurrent,
    convolutions,
    quantizedNodes,
    metadata,
  } = await readModel(new Wire(source, signal, allowance), source.size);
  const sources = [source];
  const externals = new Map<string, number>();
  const external = async (name: string): Promise<number> => {
    const known = externals.get(name);
    if (known !== undefined) return known;
    if (sources.length > MAX_SHARDS)
      throw new RankscopeError('too-large', source.name, `its tensors are in more than ${MAX_SHARDS} files`);
    externals.set(name, sources.push(await openFileSource(await siblingPath(source.name, name, 'external data'))) - 1);
    return sources.length - 1;
  };
  try {
    const names = uniqueNames(protos);
    const tensors: Tensor[] = [];
    for (const [i, proto] of protos.entries()) {
      const { listed, ...place } = await locate(source.name, proto, sources, external);
      const transposed = proto.shape.length === 2 && rightOperands.has(proto.name);
      const convolution = proto.shape.length > 2 ? convolutions.get(proto.name) : undefined;
      const isStack = proto.shape.length === 3;
      const slices: TensorDescription['slices'] =
        isStack && rightOperands.has(proto.name)
          ? 'in out'
          : isStack && recurrent.has(proto.name)
            ? 'out in'
            : undefined;
      const use = {
        ...(slices && { slices }),
        ...(transposed && { transposed }),
        ...(convolution && { convolution }),
      };
      const stored = { name: names[i]!, shape: proto.shape, ...place, ...use };
      tensors.push(listed ? listedTensor(stored, listed, source) : new StoredTensor(stored));
    }
    const files = sources.map(({ identity }) => identity);
    const shown = dequantized(tensors, quantizedNodes, rightOperands);
    const warnings = [...remarks, ...shown.remarks];
    return checkpointOver(
      { path, format: 'onnx', files, tensors: shown.tensors, metadata, warnings, security: [] },
      sources,
    );
  } catch (error) {
    await Promise.all(sources.slice(1).map((opened) => opened.close()));
    throw error;
  }
}

/** Numbers the occurrences of a name that several graphs use: `name`, `name#2`, ... */
function uniqueNames(protos: readonly TensorProto[]): string[] {
  const seen = new Map<string, number>();
  return protos.map(({ name }) => {
    const count = (seen.get(name) ?? 0) + 1;
    seen.set(name, count);
    return count === 1 ? name : `${name}#${count}`;
  });
}

/** Finds the values of a tensor, and checks their place against the tensor's shape and the size of the file. */
async function locate(
  file: string,
  { name, shape, type, values }: TensorProto,
  sources: readonly FileSource[],
  external: (name: string) => Promise<number>,
): Promise<Place> {
  const fail = (found: string) =>
    new RankscopeError(
      'malformed',
      file,
      `tensor ${JSON.stringify(name)} ${found}`,
      'It is damaged: copy or download it again',
    );
  const count = elementCount(shape);
  const dtype = DTYPES[type];
  if (dtype === undefined) throw fail(`has the unknown data type ${type}`);
  // Several small numbers share a byte, of which the last one may be partly used.
  const bytes = Math.ceil(((bitsOf(dtype) ?? 0) * count) / 8);
  if (!Number.isSafeInteger(count) || !Number.isSafeInteger(bytes)) throw fail(`claims the shape ${shape.join(' x ')}`);
  const stored = (at: number, offset: number, length: number) => {
    if (length !== bytes)
      throw fail(`has ${length} bytes, but its shape ${shape.join(' x ')} in ${dtype} needs ${bytes}`);
    if (offset + bytes > sources[at]!.size)
      throw fail(`should end at byte ${offset + bytes} of a file of ${sources[at]!.size}`);
    const storage = bytes > 0 ? `${at}:${offset}:${offset + bytes}` : `${at}:empty:${name}`;
    return { dtype, bytes, storage, file: sources[at]!.identity, source: sources[at]!, offset };
  };
  if (values.kind === 'external') {
    const location = values.entries.get('location');
    if (location === undefined) throw fail('has its values in another file, but does not name it');
    const offset = wholeNumber(values.entries.get('offset'), 0);
    const length = wholeNumber(values.entries.get('length'), bytes);
    if (offset === undefined || length === undefined) throw fail('has an offset or length that is not a whole number');
    return stored(await external(location), offset, length);
  }
  if (values.kind === 'none') {
    if (count > 0 && dtype !== 'STRING') throw fail('has no values');
    return stored(0, 0, bytes);
  }
  const { first } = values;
  const inPlace =
    values.kind === 'raw' ||
    (values.kind === 'floats' && dtype === 'F32') ||
    (values.kind === 'doubles' && dtype === 'F64');
  if (values.count === 1 && first.wire === 2 && inPlace) return stored(0, first.start, first.end - first.start);
  const storage = `list:${first.start}:${name}`;
  return { dtype, bytes, storage, file: sources[0]!.identity, source: sources[0]!, offset: 0, listed: values };
}

function wholeNumber(text: string | undefined, otherwise: number): number | undefined {
  if (text === undefined) return otherwise;
  return /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}
