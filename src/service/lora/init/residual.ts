import { join } from 'node:path';
import { untied } from '../../../checkpoint/ties.ts';
import { digestOfFile } from '../../../files/digest.ts';
import { SHARD_BYTES } from '../../../model/applied.ts';
import type { CallContext, StepProgress } from '../../../protocol/service.ts';
import { carriedTensor } from '../../../write/carried.ts';
import { shardsOf } from '../../../write/folder/shards.ts';
import { checkFolder, type FolderToWrite, writeFolder } from '../../../write/folder/writeFolder.ts';
import type { TensorGroup } from '../../../write/tensorGroups.ts';
import { torchType } from '../../apply/folderOf.ts';
import { folderParts } from '../../apply/folderParts.ts';
import type { Opened } from '../../checkpoints/opened.ts';
import { adapterFile } from '../adapterFile.ts';
import { changesOf } from '../changes.ts';
import { mergedTensor } from '../mergeInto.ts';

const METADATA = new Map([
  ['format', 'pt'],
  ['rankscope.format', 'residual/1'],
]);

/** @throws RankscopeError before any work is done, if the folder cannot be written */
export async function checkResidual(base: Opened, out: string, overwrite: boolean): Promise<void> {
  const groups = base.checkpoint.tensors.map((tensor) => ({ name: tensor.name, tensors: [carriedTensor(tensor)] }));
  const parts = await partsOf(base, groups);
  await checkFolder({ ...parts, out, overwrite, shards: shardsOf(groups, SHARD_BYTES), metadata: METADATA });
}

/**
 * Writes the folder of the base with W - scale B A in place of each adapted W, in its type. The factors are read from
 * the adapter as it was written, so that the sum is W up to the rounding of one subtraction.
 */
export async function writeResidual(
  base: Opened,
  adapter: Opened,
  { out, overwrite, adapterPath }: { out: string; overwrite: boolean; adapterPath: string },
  { signal, progress }: CallContext<StepProgress>,
): Promise<number> {
  const file = await adapterFile(adapter, adapterPath, signal);
  const { checkpoint } = base;
  const changes = changesOf(file.layers, base, checkpoint.path, adapterPath);
  const byName = new Map(changes.map((change) => [change.matrix.tensorName, change]));
  const groups = untied(checkpoint.tensors, base.ties()).map((tensor): TensorGroup => {
    const change = byName.get(tensor.name);
    return { name: tensor.name, tensors: [change ? mergedTensor(change, -1) : carriedTensor(tensor)] };
  });
  const folder: FolderToWrite = {
    ...(await partsOf(base, groups)),
    ...{ out, overwrite, signal, metadata: METADATA, shards: shardsOf(groups, SHARD_BYTES) },
    fingerprint: { form: 'residual', adapter: await digestOfFile(join(adapterPath, 'adapter_model.safetensors')) },
    errorsOf: () => ({}),
    progress: (done, total, message) => progress?.({ done, total, message }),
  };
  return (await writeFolder(folder)).bytes;
}

const partsOf = ({ checkpoint }: Opened, groups: readonly TensorGroup[]) =>
  folderParts({ checkpoint, chosen: [], factors: 2, isDense: true, type: torchType(groups) });
