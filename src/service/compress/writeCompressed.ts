import type { DeviceRequest } from '../../base/deviceInfo.ts';
import { RankscopeError } from '../../base/errors.ts';
import { moduleOfWeight } from '../../model/names/moduleOfWeight.ts';
import type { FactorizedReport } from '../../model/plan/plan.ts';
import { writeFactorized } from '../../write/factorized.ts';
import { writeTarget } from '../../write/target.ts';
import type { Devices } from '../devices/devices.ts';
import { deviceResidual } from '../plan/deviceResidual.ts';
import type { RewrittenModel } from '../plan/rewrittenModel.ts';
import type { CompressedBlocks } from './compressBlocks.ts';
import type { ResultFiles } from './resultFiles.ts';

export interface WriteCompressedRequest {
  readonly model: RewrittenModel;
  readonly engine: DeviceRequest;
  readonly files: ResultFiles;
  readonly compressed: CompressedBlocks;
  readonly overwrite: boolean;
  readonly signal: AbortSignal | undefined;
  readonly progress: (step: { done: number; total: number; message: string }) => void;
}

/** Writes the factors of all blocks and their trained norms as `apply` writes a plan. */
export function writeCompressed(devices: Devices, request: WriteCompressedRequest): Promise<FactorizedReport> {
  const { model, engine, files, compressed, overwrite, signal, progress } = request;
  return writeFactorized({
    ...model,
    out: files.out,
    overwrite,
    signal,
    changed: compressed.changed,
    async factorsOf({ name }, rank) {
      const found = compressed.factors.get(moduleOfWeight(name));
      if (!found) throw new RankscopeError('engine', name, 'is in the plan, but in no block of the network');
      return { ...found, rank };
    },
    residualOf: (matrix, factors) =>
      devices.run(engine, matrix.name, { signal }, (backend) =>
        deviceResidual(backend, matrix.source(), matrix, factors, signal),
      ),
    progress: (done, total, message) => progress({ done, total, message }),
  });
}

/** Writes a text beside the result. */
export async function writeText(
  out: string,
  text: string,
  { overwrite, sources }: { readonly overwrite: boolean; readonly sources: readonly string[] },
): Promise<void> {
  await writeTarget({ out, sources, overwrite, bytes: Buffer.byteLength(text) }, (append) => append(text));
}
