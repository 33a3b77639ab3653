import type { DeviceRequest } from '../../base/deviceInfo.ts';

/** How kohya's resize_lora chooses a rank; `rank` alone takes as many singular values of each layer. */
export const RESIZE_METHODS = ['sv_ratio', 'sv_fro', 'sv_cumulative'] as const;
export type ResizeMethod = (typeof RESIZE_METHODS)[number];

/** How PEFT's `add_weighted_adapter` combines adapters, by its names. */
export const COMBINATIONS = [
  'linear',
  'cat',
  'svd',
  'ties',
  'dare_linear',
  'dare_ties',
  'magnitude_prune',
  'ties_svd',
  'dare_linear_svd',
  'dare_ties_svd',
  'magnitude_prune_svd',
] as const;
export type Combination = (typeof COMBINATIONS)[number];

interface Written {
  /** The folder, or for names other than PEFT's the safetensors file, to write. */
  readonly out: string;
  /** Replaces existing files, which are an error otherwise. */
  readonly overwrite?: boolean;
}

export interface ResizeRequest extends Written {
  readonly kind: 'resize';
  readonly path: string;
  /** The rank of every layer, or the largest with a method. */
  readonly rank?: number;
  readonly method?: { readonly name: ResizeMethod; readonly value: number };
}

export interface CombineRequest extends Written, DeviceRequest {
  readonly kind: 'combine';
  readonly paths: readonly string[];
  /** One for each path; 1 by default. */
  readonly weights?: readonly number[];
  /** `svd` by default, as in PEFT. */
  readonly combination?: Combination;
  /** Of the result of an SVD; the largest rank of the adapters by default. */
  readonly rank?: number;
  /** The share of entries that pruning keeps. */
  readonly density?: number;
  readonly majoritySign?: 'total' | 'frequency';
  /** Of DARE's random masks. */
  readonly seed?: number;
}

export interface MergeIntoRequest extends Written {
  readonly kind: 'into';
  readonly base: string;
  readonly path: string;
  /** A factor of the update; 1 by default. */
  readonly weight?: number;
}

export const LORA_NAMES = ['peft', 'kohya', 'diffusers'] as const;
export type LoraNames = (typeof LORA_NAMES)[number];
export const LORA_LOADERS = ['peft', 'vllm', 'llama.cpp', 'comfyui'] as const;
export type LoraLoader = (typeof LORA_LOADERS)[number];

export interface ConvertRequest extends Written {
  readonly kind: 'convert';
  readonly path: string;
  readonly names: LoraNames;
  /** What must understand the result; `peft` by default. */
  readonly loader?: LoraLoader;
  /** The model whose module names resolve those that kohya joins with underscores. */
  readonly base?: string;
}

/** Without a folder to write, intruders are only found. */
export interface CleanRequest extends Partial<Written>, DeviceRequest {
  readonly kind: 'clean';
  readonly path: string;
  readonly base: string;
  /** Leading directions of W + scale B A that are looked at; 10 by default, as in PEFT. */
  readonly top?: number;
  /** A direction is an intruder if its cosines with those of W are all below this; 0.5 by default. */
  readonly threshold?: number;
  /** The share of an intruder that remains, PEFT's `mitigation_lambda`; 0.75 by default. */
  readonly remain?: number;
}

/** A leading direction of W + scale B A that W does not have. */
export interface Intruder {
  readonly singularValue: number;
  /** The largest cosine with a left singular vector of W. */
  readonly cosine: number;
}

export type LoraWriteRequest = ResizeRequest | CombineRequest | MergeIntoRequest | ConvertRequest | CleanRequest;

export interface WrittenLayer {
  readonly name: string;
  readonly rankBefore: number;
  readonly rank: number;
  /** Of the update: ||new - old||_F / ||old||_F; null where there is no single old one, and for a zero update. */
  readonly error: number | null;
  /** Only of `clean`. */
  readonly intruders?: readonly Intruder[];
}

/** What these commands print with --json; its schema is media/schemas/loraWritten.schema.json. */
export interface LoraWritten {
  readonly format: 'rankscope.loraWritten/1';
  readonly kind: LoraWriteRequest['kind'];
  /** Null if nothing was written. */
  readonly out: string | null;
  readonly layers: readonly WrittenLayer[];
  readonly parametersBefore: number;
  readonly parametersAfter: number;
  readonly bytes: number;
  /** What a user should know about the result, one sentence each. */
  readonly remarks: readonly string[];
}
