import { stat } from 'node:fs/promises';
import { basename } from 'node:path';
import type { Checkpoint } from '../../checkpoint/checkpoint.ts';
import { digestOf } from '../../files/digest.ts';
import type { Fingerprint } from '../../files/unfinished.ts';
import { SHARD_BYTES } from '../../model/applied.ts';
import type { ApplyRequest } from '../../protocol/service.ts';

/** What a folder is made of: the checkpoint by its files' names, sizes and times, the plan, and the options. */
export async function folderFingerprint({ files }: Checkpoint, request: ApplyRequest): Promise<Fingerprint> {
  const { plan, calibration, dense = false, dtype, shardSize = SHARD_BYTES } = request;
  const identity = files.map(({ path, size, mtimeMs }) => [basename(path), size, mtimeMs]);
  const ranks = plan.matrices.map(({ name, rank, shared }) => [name, rank, shared ?? null]);
  const source = calibration?.file ?? calibration?.ids;
  const found = source === undefined ? undefined : await stat(source).catch(() => undefined);
  return {
    checkpoint: digestOf(identity),
    plan: digestOf([plan.request.factors, ranks]),
    calibration: calibration ? digestOf([{ ...calibration }, found?.size ?? null, found?.mtimeMs ?? null]) : 'none',
    form: dense ? 'dense' : 'factors',
    type: dtype ?? 'that of the source',
    'shard size': shardSize,
  };
}
