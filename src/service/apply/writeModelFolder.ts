import { elementCount } from '../../base/shape.ts';
import { countParameters } from '../../checkpoint/ties.ts';
import type { ApplyRequest } from '../../protocol/service.ts';
import { writeFolder } from '../../write/folder/writeFolder.ts';
import { measuredErrors } from '../../write/measuredErrors.ts';
import type { Opened } from '../checkpoints/opened.ts';
import type { Destination } from './destination.ts';
import type { FactorWork, WriterReport } from './factorWork.ts';
import { folderFingerprint } from './folderFingerprint.ts';
import { folderOf } from './folderOf.ts';
import { refuseWorse } from './refuseWorse.ts';

/**
 * Writes a folder that transformers opens: the weights in shards, with factors or W' in place of the planned matrices,
 * and what the source's folder has beside its weights.
 */
export async function writeModelFolder(
  { model }: Destination,
  opened: Opened,
  request: ApplyRequest,
  work: FactorWork,
): Promise<WriterReport> {
  const { out, overwrite = false } = request;
  const measured = new Map<string, number>();
  const refuse = refuseWorse(model.plan, work.isCalibrated);
  const folder = await folderOf(model, request, {
    ...work,
    measured: (name, error) => {
      refuse(name, error);
      measured.set(name, error);
    },
  });
  const { shards, metadata, texts, from, carried, left, chosen, groups } = folder;
  const namesIn = (tensor: string) =>
    [...chosen.values()].filter(({ matrix }) => matrix.tensorName === tensor).map(({ matrix }) => matrix.name);
  const { bytes, errors, ...files } = await writeFolder({
    ...{ out, shards, metadata, texts, from, carried, overwrite },
    fingerprint: await folderFingerprint(opened.checkpoint, request),
    errorsOf: (group) => Object.fromEntries(namesIn(group.name).map((name) => [name, measured.get(name)!])),
    signal: work.signal,
    progress: work.progress,
  });
  const written = groups.flatMap(({ tensors }) => tensors);
  return {
    out,
    parametersBefore: countParameters(model.checkpoint.tensors, model.ties),
    parametersAfter: written.reduce((sum, { shape }) => sum + elementCount(shape), 0),
    bytesBefore: opened.checkpoint.bytes,
    bytesAfter: bytes,
    ...measuredErrors(model.plan, chosen, errors),
    folder: { ...files, left },
  };
}
