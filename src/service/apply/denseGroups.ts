import { RankscopeError } from '../../base/errors.ts';
import type { Checkpoint } from '../../checkpoint/checkpoint.ts';
import type { ApplyRequest } from '../../protocol/service.ts';
import type { GgufToWrite } from '../../write/gguf.ts';
import { type TensorForm, type TensorGroup, tensorGroups } from '../../write/tensorGroups.ts';
import type { Destination } from './destination.ts';
import type { EveryTensor } from './everyTensor.ts';

/** What is written where W' takes the place of W. GGUF has no quantizer here: W' of a quantized W is F16 there. */
export function denseGroups(
  { kind }: Destination,
  { tensors, chosen }: EveryTensor,
  { dtype }: ApplyRequest,
  form: Omit<TensorForm, 'factors' | 'dtype'>,
): TensorGroup[] {
  const all = (type: TensorForm['dtype']) => tensorGroups(tensors, chosen, { ...form, factors: 2, dtype: type });
  if (kind !== 'gguf' || dtype) return all(dtype ?? null);
  const own = all(null);
  const half = all('F16');
  return own.map((group, k) => (tensors[k]!.readStored ? group : half[k]!));
}

/** @throws RankscopeError 'unsupported' for a file whose parts cannot be taken over */
export function ggufOf(
  { original, path }: Checkpoint,
  { tensors, chosen }: EveryTensor,
  groups: readonly TensorGroup[],
  out: string,
): Pick<GgufToWrite, 'out' | 'original' | 'tensors' | 'replaced'> {
  if (!original)
    throw new RankscopeError(
      'unsupported',
      path,
      'it is one of several files, or of version 1',
      'Merge them with llama-gguf-split --merge, or write safetensors',
    );
  const cut = new Set([...chosen.values()].map(({ matrix }) => matrix.tensorName));
  const replaced = new Map(groups.filter(({ name }) => cut.has(name)).map(({ name, tensors: [own] }) => [name, own!]));
  return { out, original, tensors, replaced };
}
