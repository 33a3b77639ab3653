import { untied } from '../../checkpoint/ties.ts';
import type { ApplyEstimate } from '../../model/applied.ts';
import type { ApplyRequest } from '../../protocol/service.ts';
import { chosenMatrices } from '../../write/chosenMatrices.ts';
import { checkFolder, shardBytes } from '../../write/folder/writeFolder.ts';
import { ggufBytes } from '../../write/gguf.ts';
import { factorizedMetadata, truncatedMetadata } from '../../write/metadata.ts';
import { safetensorsHeader } from '../../write/safetensorsWriter.ts';
import { tensorGroups } from '../../write/tensorGroups.ts';
import type { Opened } from '../checkpoints/opened.ts';
import { refuseOther } from '../plan/refuseOther.ts';
import { denseGroups, ggufOf } from './denseGroups.ts';
import { destinationOf } from './destination.ts';
import { everyTensor } from './everyTensor.ts';
import { folderOf } from './folderOf.ts';

/**
 * The size of what `apply` would write, to the byte, from shapes and types alone.
 * @throws RankscopeError as `apply` does before it writes
 */
export async function estimateApply(
  opened: Opened,
  request: ApplyRequest,
  signal: AbortSignal | undefined,
): Promise<ApplyEstimate> {
  refuseOther(request.plan, opened);
  const { kind, model } = await destinationOf(opened, request, signal);
  const bytesBefore = opened.checkpoint.bytes;
  const never = () => Promise.reject(new Error('nothing is written'));
  const form = { factorsOf: never, sharedFactorsOf: never, denseOf: never, measured: () => undefined };
  if (kind === 'folder') {
    const folder = await folderOf(model, request, form);
    await checkFolder({ ...folder, out: request.out, overwrite: request.overwrite === true });
    const { groups, shards, metadata } = folder;
    return { bytesBefore, bytesAfter: shardBytes(shards, metadata), types: typesOf(groups) };
  }
  const { plan, dtype = null, dense = false } = request;
  const { factors } = plan.request;
  const every = dense ? everyTensor(model) : undefined;
  const chosen = every?.chosen ?? chosenMatrices(model);
  const tensors = every?.tensors ?? untied(model.checkpoint.tensors, model.ties);
  if (kind === 'gguf' && every) {
    const own = denseGroups({ kind, model }, every, request, form);
    const file = ggufOf(opened.checkpoint, every, own, request.out);
    const others = file.tensors.filter(({ name }) => !file.replaced.has(name));
    const types = typesOf([{ tensors: [...file.replaced.values(), ...others] }]);
    return { bytesBefore, bytesAfter: ggufBytes(file), types };
  }
  const groups = tensorGroups(tensors, chosen, { ...form, denseOf: dense ? never : undefined, factors, dtype });
  const metadata = dense
    ? truncatedMetadata(model.checkpoint, plan, [...chosen.values()])
    : factorizedMetadata(model.checkpoint, model.plan, [...chosen.values()], model.ties);
  const written = groups.flatMap((group) => group.tensors);
  const header = safetensorsHeader(written, metadata, request.out).length;
  return { bytesBefore, bytesAfter: written.reduce((sum, { bytes }) => sum + bytes, header), types: typesOf(groups) };
}

function typesOf(
  groups: readonly { readonly tensors: readonly { readonly dtype: string; readonly bytes: number }[] }[],
): Record<string, number> {
  const types: Record<string, number> = {};
  for (const { dtype, bytes } of groups.flatMap(({ tensors }) => tensors)) types[dtype] = (types[dtype] ?? 0) + bytes;
  return types;
}
