import { dirname } from 'node:path';
import { RankscopeError, throwIfCancelled } from '../../base/errors.ts';
import { elementCount } from '../../base/shape.ts';
import { CHUNK_BYTES } from '../../bytes/limits.ts';
import type { Checkpoint } from '../checkpoint.ts';
import { configurationBeside, type ReadingContext } from '../configuration.ts';
import { descriptionOf, type Tensor } from '../tensor.ts';
import { bitsandbytes4, bitsandbytes8 } from './bitsandbytes.ts';
import { compressed } from './compressed.ts';
import { stepDeviation } from './deviation.ts';
import { fp4, mlxFloats, mxfp4 } from './fp4.ts';
import { gptq } from './gptq.ts';
import { mlx } from './mlx.ts';
import type { Packed, Scheme } from './packed.ts';
import { type RefusedLayer, refusedLayers } from './refused.ts';
import { scaled } from './scaled.ts';

const SCHEMES: readonly Scheme[] = [gptq, mlx, mlxFloats, bitsandbytes4, bitsandbytes8, scaled, mxfp4, fp4, compressed];

/** Endings of tensors that stand beside codes; without any of them there is nothing to look for. */
const BESIDE =
  /(_scales?|_scale_inv|\.(qzeros|scales?|biases|absmax|SCB|s|SU|svh|codebooks|centroids\.weight|weight_scales))$/;

/**
 * The checkpoint with each matrix that is stored as codes and scales (GPTQ, AWQ, MLX, bitsandbytes, scaled 8-bit floats, 4-bit floats) shown
 * as the one matrix it stands for, decoded when it is read; what is in a layout that is not known cannot be read, and a remark names it. The
 * same checkpoint where nothing is quantized.
 */
export async function unpackQuantized(base: Checkpoint, context: ReadingContext): Promise<Checkpoint> {
  if (!base.tensors.some((tensor) => BESIDE.test(tensor.name))) return base;
  const directory = {
    tensors: new Map(base.tensors.map((tensor) => [tensor.name, tensor])),
    configuration: await configurationOf(base, context),
  };
  const found = new Map<Tensor, Packed>();
  const hidden = new Set<Tensor>();
  for (const tensor of base.tensors) {
    const packed = await firstOf(tensor, directory);
    // A name that is already there would be shown twice.
    if (!packed || (packed.name !== tensor.name && directory.tensors.has(packed.name))) continue;
    found.set(tensor, packed);
    for (const part of packed.parts) hidden.add(part);
  }
  const refused = refusedLayers(directory, hidden);
  if (found.size === 0 && refused.length === 0) return base;
  const layoutOf = new Map(refused.flatMap(({ layout, parts }) => parts.map((part) => [part, layout] as const)));
  const tensors = base.tensors.flatMap((tensor): Tensor[] => {
    const packed = found.get(tensor);
    if (packed) return [packedTensor(tensor, packed)];
    if (hidden.has(tensor)) return [];
    const layout = layoutOf.get(tensor);
    return [layout === undefined ? tensor : refusedTensor(tensor, layout)];
  });
  return { ...base, tensors, warnings: [...base.warnings, ...remarks([...found.values()], refused)] };
}

function remarks(found: readonly Packed[], refused: readonly RefusedLayer[]): string[] {
  const kinds = [...new Set(found.map(({ dtype }) => dtype))].join(', ');
  const layouts = new Map<string, number>();
  for (const { layout } of refused) layouts.set(layout, (layouts.get(layout) ?? 0) + 1);
  return [
    ...(found.length > 0
      ? [`${found.length} matrices are stored quantized (${kinds}); they are shown dequantized.`]
      : []),
    ...[...layouts].map(([layout, count]) => `${count} layers are quantized in a way that is not read: ${layout}.`),
  ];
}

async function firstOf(tensor: Tensor, directory: Parameters<Scheme>[1]): Promise<Packed | undefined> {
  for (const scheme of SCHEMES) {
    const packed = await Promise.resolve(scheme(tensor, directory)).catch((error: RankscopeError) => {
      // Parts in an unusual layout: they are shown as they are stored.
      if (error.code === 'unsupported') return undefined;
      throw error;
    });
    if (packed) return packed;
  }
  return undefined;
}

function packedTensor(codes: Tensor, packed: Packed): Tensor {
  const { name, shape, dtype, parts, steps } = packed;
  return {
    name,
    shape,
    dtype,
    bytes: parts.reduce((sum, part) => sum + part.bytes, 0),
    file: codes.file,
    storage: `packed ${codes.storage}`,
    read: (start, out, signal) => readPacked(packed, start, out, signal),
    ...(steps && { deviation: (start, length, signal) => stepDeviation(steps, shape, start, length, signal) }),
  };
}

/** A part of a layer in an unknown layout: it can be copied, but its numbers are not those of the layer. */
function refusedTensor(tensor: Tensor, layout: string): Tensor {
  return {
    ...descriptionOf(tensor),
    async read() {
      const found = `it is part of a layer that is quantized in a way that is not read: ${layout}`;
      throw new RankscopeError('unsupported', tensor.name, found, 'Dequantize it with the library that wrote it');
    },
    ...(tensor.readStored && { readStored: (offset, out, signal) => tensor.readStored!(offset, out, signal) }),
  };
}

/** Whole rows go straight into `out`, by pieces; a row that is wanted in part goes through one of its own. */
async function readPacked(
  packed: Packed,
  start: number,
  out: Float32Array,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { name, shape } = packed;
  const count = elementCount(shape);
  const end = start + out.length;
  if (!(start >= 0 && end <= count))
    throw new RankscopeError('wrong-use', name, `elements ${start} to ${end} were asked for`);
  const cols = shape.at(-1)!;
  const rowsAtOnce = packed.atOnce ? Number.POSITIVE_INFINITY : Math.max(1, Math.floor(CHUNK_BYTES / (4 * cols)));
  for (let at = start; at < end; ) {
    throwIfCancelled(signal, name);
    const row = Math.floor(at / cols);
    const wholeRows = at % cols === 0 ? Math.min(rowsAtOnce, Math.floor((end - at) / cols)) : 0;
    if (wholeRows > 0) {
      await packed.decodeRows(row, out.subarray(at - start, at - start + wholeRows * cols), signal);
      at += wholeRows * cols;
    } else {
      const line = new Float32Array(cols);
      await packed.decodeRows(row, line, signal);
      const stop = Math.min(end, (row + 1) * cols);
      out.set(line.subarray(at - row * cols, stop - row * cols), at - start);
      at = stop;
    }
  }
}

async function configurationOf({ files }: Checkpoint, context: ReadingContext) {
  const folder = dirname(files[0]!.path);
  const [model, gptqOwn] = await Promise.all([
    configurationBeside(folder, 'config.json', context),
    configurationBeside(folder, 'quantize_config.json', context),
  ]);
  return { ...gptqOwn, ...model };
}
