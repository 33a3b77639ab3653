/** Types in which the floating-point tensors of a result can be written. */
export const WRITTEN_TYPES = ['F64', 'F32', 'F16', 'BF16'] as const;
export type WrittenType = (typeof WRITTEN_TYPES)[number];

/** The largest shard of a folder where nothing else is asked for, in bytes; that of the Hugging Face libraries. */
export const SHARD_BYTES = 5e9;

/** What is written where: a safetensors or GGUF file, or a folder. */
export type ResultForm = 'file' | 'folder';

/** The size of a result, before anything is written. */
export interface ApplyEstimate {
  readonly bytesBefore: number;
  /** Of the weights; other files are small. */
  readonly bytesAfter: number;
  /** The types of the tensors in it, and the number of bytes in each. */
  readonly types: Readonly<Record<string, number>>;
}

/** The files of a folder that was written. */
export interface WrittenFolder {
  /** Of the weights. */
  readonly shards: readonly string[];
  /** Copied from the folder of the source. */
  readonly carried: readonly string[];
  /** Of the source's folder, but not copied. */
  readonly left: readonly string[];
  /** Tensors that an earlier run had written already, which was stopped. */
  readonly resumedTensors: number;
}

/** A share of the source's size that a header may add, which says what was written. */
const HEADER = 0.001;

/** Why a person may not want a result: it is larger than its source. Undefined if it is not. */
export function growth({ bytesBefore, bytesAfter }: Pick<ApplyEstimate, 'bytesBefore' | 'bytesAfter'>) {
  return bytesAfter > bytesBefore * (1 + HEADER) ? bytesAfter / bytesBefore : undefined;
}
