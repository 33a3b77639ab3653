import { type GgufArchitecture, ggufArchitecture } from './ggufArchitectures.ts';

/** A parsed llama.cpp name. */
export interface GgufName {
  /** Null outside the blocks. */
  readonly layer: number | null;
  /** e.g. `attn_q`. */
  readonly part: string;
  readonly parameter: 'weight' | 'bias';
  /** The number of the slice in `name[3]`; null for a whole tensor. */
  readonly slice: number | null;
}

/** The parts of a name such as `blk.0.ffn_up_exps.weight[3]`; undefined for other names. */
export function ggufName(name: string): GgufName | undefined {
  const match = /^(?:blk\.(\d+)\.)?([a-z_]\w*)\.(weight|bias)(?:\[(\d+)\])?$/.exec(name);
  if (!match) return undefined;
  const [, layer, part = '', parameter, slice] = match;
  return {
    layer: layer === undefined ? null : Number(layer),
    part,
    parameter: parameter as 'weight' | 'bias',
    slice: slice === undefined ? null : Number(slice),
  };
}

/**
 * The name in Hugging Face's code; undefined if the architecture has no such part. Only the slices of a stack have
 * names.
 */
export function huggingFaceName(architecture: GgufArchitecture, name: GgufName): string | undefined {
  const { layer, part, parameter, slice } = name;
  const table = layer === null ? architecture.outside : architecture.block;
  if (!Object.hasOwn(table, part)) return undefined;
  const path = layer === null ? table[part]! : `${architecture.layers}.${layer}.${table[part]!}`;
  if (path.includes('#') !== (slice !== null)) return undefined;
  return `${path.replace('#', String(slice))}.${parameter}`;
}

/**
 * The name in the model's PyTorch code of the tensor, or slice, with the GGUF name `name`; undefined if unknown.
 * Unknown architectures are assumed to be built like LLaMA, as most are.
 */
export function pytorchNameOfGguf(name: string, architecture?: string): string | undefined {
  const parts = ggufName(name);
  const known = ggufArchitecture(architecture) ?? ggufArchitecture('llama');
  return parts && known && huggingFaceName(known, parts);
}
