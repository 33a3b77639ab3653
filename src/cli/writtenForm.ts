import { existsSync, statSync } from 'node:fs';
import { formatBytes } from '../base/quantities.ts';
import { type ApplyEstimate, growth, type WrittenFolder } from '../model/applied.ts';
import type { ApplyRequest } from '../protocol/service.ts';
import { choiceOf, type OptionTable, textOf, UsageError, type Values } from './command.ts';
import { bytesOf } from './sizes.ts';

/** The options that say in what form a plan is applied. */
export const FORM: OptionTable = {
  dense: { type: 'boolean' },
  dtype: { type: 'string' },
  'shard-size': { type: 'string' },
};

export const FORM_HELP = `  --dense             write the truncated matrices W' themselves in the places of W, with the same names and shapes,
                      which loads everywhere: as safetensors, as a folder, or from GGUF as GGUF (W' in F16)
  --dtype TYPE        f32, f16 or bf16 for all floating-point tensors (default: each keeps its own; quantized ones bf16)
  --shard-size SIZE   the most bytes of a file in a folder, such as 2GB or 500MiB (default: 5GB)`;

type Form = Pick<ApplyRequest, 'form' | 'dense' | 'dtype' | 'shardSize'>;

const TYPES = { f32: 'F32', f16: 'F16', bf16: 'BF16' } as const;
const LEAST_SHARD = 1000;

/**
 * What exists stays what it is; otherwise a name that ends in .safetensors or .gguf is a file, any other a folder.
 * @throws UsageError
 */
export function formOf(values: Values, out: string): Form {
  const found = existsSync(out) ? statSync(out) : undefined;
  const isFolder = found?.isDirectory() ?? (/[\\/]$/.test(out) || !/\.(?:safetensors|gguf)$/i.test(out));
  const dtype = choiceOf(values, 'dtype', ['f32', 'f16', 'bf16']);
  const size = textOf(values, 'shard-size');
  if (size !== undefined && !isFolder) throw new UsageError('--shard-size is for a folder, and --out names a file');
  return {
    form: isFolder ? 'folder' : 'file',
    ...(values.dense === true && { dense: true }),
    ...(dtype !== undefined && { dtype: TYPES[dtype] }),
    ...(size !== undefined && { shardSize: bytesOf(size, 'shard-size', LEAST_SHARD) }),
  };
}

/** What a person should know before anything is written; undefined where the result is no larger than its source. */
export function growthWarning(estimate: ApplyEstimate): string | undefined {
  const factor = growth(estimate);
  if (factor === undefined) return undefined;
  const types = Object.entries(estimate.types)
    .toSorted(([, a], [, b]) => b - a)
    .map(([type, bytes]) => `${formatBytes(bytes)} in ${type}`);
  return `the result is larger than its source: ${formatBytes(estimate.bytesAfter)} (${types.join(', ')}) from ${formatBytes(estimate.bytesBefore)}`;
}

/** The files of a folder, in words. */
export function* folderLines({ shards, carried, left, resumedTensors }: WrittenFolder): Generator<string> {
  yield `The weights are in ${shards.length === 1 ? shards[0] : `${shards.length} files and an index`}; every tensor was read back.\n`;
  if (resumedTensors > 0) yield `${resumedTensors} tensors were there from an earlier run that was stopped.\n`;
  if (carried.length > 0) yield `Carried over: ${carried.join(', ')}\n`;
  if (left.length > 0) yield `Not carried over: ${left.join(', ')}\n`;
}
