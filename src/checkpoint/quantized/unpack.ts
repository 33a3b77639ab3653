import { dirname } from 'node:path';
import { RankscopeError } from '../../base/errors.ts';
import type { Checkpoint } from '../checkpoint.ts';
import { configurationBeside, type ReadingContext } from '../configuration.ts';
import { descriptionOf, type Tensor } from '../tensor.ts';
import { bitsandbytes4, bitsandbytes8 } from './bitsandbytes.ts';
import { compressed } from './compressed.ts';
import { declared, declaredIn, withoutDeclarations } from './declared.ts';
import { fp4, mlxFloats, mxfp4 } from './fp4.ts';
import { gptq } from './gptq.ts';
import { kerasInt8 } from './kerasInt8.ts';
import { mlx } from './mlx.ts';
import type { Declined, Directory, Packed, Scheme } from './packed.ts';
import { packedTensor } from './packedTensor.ts';
import { type RefusedLayer, refusedLayers } from './refused.ts';
import { scaled } from './scaled.ts';
import { swizzled } from './swizzled.ts';
import { ternary } from './ternary.ts';

const SCHEMES: readonly Scheme[] = [
  declared,
  gptq,
  mlx,
  mlxFloats,
  bitsandbytes4,
  bitsandbytes8,
  swizzled,
  scaled,
  mxfp4,
  fp4,
  compressed,
  ternary,
  kerasInt8,
];

/** Names of tensors that accompany codes. A checkpoint without any of them is not quantized. */
const BESIDE =
  /scal|scl|absmax|amax|zeros|biases$|\.(SCB|s|SU|svh|codebooks|centroids\.weight|bitmask|row_offsets|tables2)$/i;

/** Types whose values are never codes. */
const WIDE = /^(F64|F32|F16|BF16|BOOL|C64)$/;

/** Keras numbers the variables of a layer, so that their names do not tell. */
const isKerasCode = ({ name, dtype }: Tensor) => dtype === 'I8' && name.endsWith('/vars/0');

/** A marker of ComfyUI for the whole file, which means nothing once its layers are decoded. */
const COMFY_MARKER = /(^|\.)scaled_fp8$/;

/**
 * Returns the checkpoint with each matrix that is stored as codes and scales (GPTQ, AWQ, MLX, bitsandbytes, scaled
 * 8-bit floats, 4-bit floats) replaced by one dequantized tensor, decoded when it is read. Tensors in unsupported
 * layouts refuse to be read, and a warning names the layout. Returns `base` itself if nothing is quantized.
 */
export async function unpackQuantized(base: Checkpoint, context: ReadingContext): Promise<Checkpoint> {
  if (!base.tensors.some((tensor) => BESIDE.test(tensor.name) || isKerasCode(tensor))) return base;
  const directory = {
    format: base.format,
    tensors: new Map(base.tensors.map((tensor) => [tensor.name, tensor])),
    configuration: await configurationOf(base, context),
    declared: declaredIn(base.metadata, context.allowance),
  };
  const found = new Map<Tensor, Packed>();
  const hidden = new Set<Tensor>();
  const declined = new Map<Tensor, string>();
  for (const tensor of base.tensors) {
    // Half of 100,000 tensors may be scales, which are no codes. Those of GGUF have scales whatever their type is.
    if (base.format !== 'gguf' && WIDE.test(tensor.dtype)) continue;
    const outcome = await firstOf(tensor, directory);
    if (!outcome) continue;
    if ('layout' in outcome) declined.set(tensor, outcome.layout);
    // Skip a matrix whose name would duplicate that of another tensor.
    else if (outcome.name === tensor.name || !directory.tensors.has(outcome.name)) {
      found.set(tensor, outcome);
      for (const part of outcome.parts) hidden.add(part);
    }
  }
  const refused = refusedLayers(directory, hidden, declined);
  if (found.size === 0 && refused.length === 0) return base;
  const layoutOf = new Map(refused.flatMap(({ layout, parts }) => parts.map((part) => [part, layout] as const)));
  const tensors = base.tensors.flatMap((tensor): Tensor[] => {
    const packed = found.get(tensor);
    if (packed) return [packedTensor(tensor, packed)];
    if (hidden.has(tensor) || (found.size > 0 && COMFY_MARKER.test(tensor.name))) return [];
    const layout = layoutOf.get(tensor);
    return [layout === undefined ? tensor : refusedTensor(tensor, layout)];
  });
  const metadata = refused.length > 0 ? base.metadata : withoutDeclarations(base.metadata, directory.declared);
  return { ...base, tensors, metadata, warnings: [...base.warnings, ...remarks([...found.values()], refused)] };
}

function remarks(found: readonly Packed[], refused: readonly RefusedLayer[]): string[] {
  const kinds = [...new Set(found.map(({ dtype }) => dtype))].join(', ');
  const layouts = new Map<string, number>();
  for (const { layout } of refused) layouts.set(layout, (layouts.get(layout) ?? 0) + 1);
  return [
    ...(found.length > 0
      ? [`${found.length} matrices are stored quantized (${kinds}); they are shown dequantized.`]
      : []),
    ...[...layouts].map(([layout, count]) => `${count} layers are quantized in an unsupported layout: ${layout}.`),
  ];
}

async function firstOf(tensor: Tensor, directory: Directory): Promise<Packed | Declined | undefined> {
  for (const scheme of SCHEMES) {
    const outcome = await Promise.resolve(scheme(tensor, directory)).catch((error: RankscopeError) => {
      // Parts that cannot be read as bytes are shown as they are stored.
      if (error.code === 'unsupported') return undefined;
      throw error;
    });
    if (outcome) return outcome;
  }
  return undefined;
}

/** A tensor of a layer in an unsupported layout. It can be copied, but its values are not those of the layer. */
function refusedTensor(tensor: Tensor, layout: string): Tensor {
  const refused = `part of a layer that is quantized in an unsupported layout: ${layout}`;
  return {
    ...descriptionOf(tensor),
    refused,
    async read() {
      const found = `it is ${refused}`;
      throw new RankscopeError('unsupported', tensor.name, found, 'Dequantize it with the library that wrote it');
    },
    ...(tensor.readStored && { readStored: (offset, out, signal) => tensor.readStored!(offset, out, signal) }),
  };
}

async function configurationOf({ files }: Checkpoint, context: ReadingContext) {
  const folder = dirname(files[0]!.path);
  const [model, quantization] = await Promise.all([
    configurationBeside(folder, 'config.json', context),
    configurationBeside(folder, 'quantize_config.json', context),
  ]);
  return { ...quantization, ...model };
}
