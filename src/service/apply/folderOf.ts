import type { Tensor } from '../../checkpoint/tensor.ts';
import { SHARD_BYTES } from '../../model/applied.ts';
import type { ApplyRequest } from '../../protocol/service.ts';
import { type Shard, shardsOf } from '../../write/folder/shards.ts';
import { type Chosen, folderMetadata } from '../../write/metadata.ts';
import { type TensorForm, type TensorGroup, tensorGroups } from '../../write/tensorGroups.ts';
import type { RewrittenModel } from '../plan/rewrittenModel.ts';
import { everyTensor } from './everyTensor.ts';
import { type FolderParts, folderParts } from './folderParts.ts';

/** Everything that a folder will hold. */
export interface PlannedFolder extends FolderParts {
  readonly shards: readonly Shard[];
  readonly groups: readonly TensorGroup[];
  readonly metadata: ReadonlyMap<string, string>;
  readonly chosen: ReadonlyMap<string, Chosen>;
  readonly tensors: readonly Tensor[];
}

/** @throws RankscopeError as `folderParts` does, and 'wrong-use' for a plan that does not fit the checkpoint */
export async function folderOf(
  model: RewrittenModel,
  { plan, dtype, dense = false, shardSize = SHARD_BYTES }: ApplyRequest,
  form: Omit<TensorForm, 'factors' | 'dtype'>,
): Promise<PlannedFolder> {
  const { factors } = plan.request;
  const { tensors, chosen } = everyTensor(model);
  const { denseOf, ...others } = form;
  const groups = tensorGroups(tensors, chosen, {
    ...others,
    ...(dense ? { denseOf } : {}),
    factors,
    dtype: dtype ?? null,
  });
  const parts = await folderParts({
    checkpoint: model.checkpoint,
    chosen: [...chosen.values()],
    factors,
    isDense: dense,
    type: torchType(groups),
  });
  const metadata = folderMetadata(dense, factors);
  return { ...parts, shards: shardsOf(groups, shardSize), groups, metadata, chosen, tensors };
}

const TORCH: Readonly<Record<string, string>> = { F64: 'float64', F32: 'float32', F16: 'float16', BF16: 'bfloat16' };

/** The floating-point type of most of the bytes, as torch names it. */
export function torchType(groups: readonly TensorGroup[]): string {
  const bytes = new Map<string, number>();
  for (const { dtype, bytes: own } of groups.flatMap(({ tensors }) => tensors))
    if (Object.hasOwn(TORCH, dtype)) bytes.set(dtype, (bytes.get(dtype) ?? 0) + own);
  const [most] = [...bytes].toSorted(([, a], [, b]) => b - a);
  return TORCH[most?.[0] ?? 'F32']!;
}
