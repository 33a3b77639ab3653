import { basename, resolve } from 'node:path';
import { RankscopeError } from '../../base/errors.ts';
import type { Checkpoint } from '../../checkpoint/checkpoint.ts';
import { refuseExisting } from '../../files/wholeFile.ts';
import { isStored } from '../../model/matrix.ts';
import type { ApplyReport, ApplyRequest, CallContext, StepProgress } from '../../protocol/service.ts';
import { writeFactorized } from '../../write/factorized.ts';
import { pythonModule } from '../../write/python.ts';
import { writeTarget } from '../../write/target.ts';
import type { SpectraParts } from '../analysis/spectra.ts';
import type { Opened } from '../checkpoints/opened.ts';
import { deviceResidual } from './deviceResidual.ts';
import { networkTriplets } from './networkTriplets.ts';
import { refuseOther } from './refuseOther.ts';
import { rewrittenModel } from './rewrittenModel.ts';

/**
 * Writes the factorized checkpoint and, on request, the Python code; resolves or rejects once temporary files are gone.
 */
export async function apply(
  { devices }: SpectraParts,
  opened: Opened,
  request: ApplyRequest,
  { signal, progress }: CallContext<StepProgress>,
): Promise<Omit<ApplyReport, 'smokeTest'>> {
  const { out, code, overwrite = false } = request;
  const engine = devices.settle(request);
  refuseOther(request.plan, opened);
  const codeTarget = code === undefined ? undefined : await checkedCode(code, request, opened);
  const tied = await opened.tiesByContent(signal);
  const { checkpoint, matrices, plan, ties, remarks } = rewrittenModel(opened, request.plan, tied);
  return devices.hold(engine, signal, async () => {
    const report = await writeFactorized({
      checkpoint,
      matrices,
      plan,
      ties,
      out,
      overwrite,
      signal,
      factorsOf: (matrix, rank) =>
        devices.run(engine, matrix.name, { signal }, (backend) => networkTriplets(backend, matrix, rank, signal)),
      residualOf: (matrix, factors) =>
        devices.run(engine, matrix.name, { signal }, (backend) =>
          deviceResidual(backend, matrix.source(), matrix, factors, signal),
        ),
      progress: (done, total, message) => progress?.({ done, total, message }),
    });
    if (codeTarget) {
      const text = pythonModule({
        plan,
        matrices: matrices.filter(isStored),
        weights: basename(out),
        remarks,
        ...ggufFileOf(checkpoint),
      });
      await writeTarget({ ...codeTarget, bytes: Buffer.byteLength(text) }, (append) => append(text));
    }
    return { ...report, code: code ?? null, ...(remarks.length > 0 ? { remarks } : {}) };
  });
}

/** transformers derives a configuration from a GGUF file. */
function ggufFileOf({ format, files }: Checkpoint): { ggufFile?: string } {
  return format === 'gguf' && files[0] ? { ggufFile: basename(files[0].path) } : {};
}

/** Checks the name before the weights are written, so that a wrong one costs nothing. */
async function checkedCode(code: string, { out, overwrite = false }: ApplyRequest, { checkpoint }: Opened) {
  if (resolve(code) === resolve(out)) {
    throw new RankscopeError('wrong-use', code, 'the weights and the code would be one file', 'Choose two names');
  }
  if (!overwrite) await refuseExisting(code);
  return { out: code, overwrite, sources: checkpoint.files.map((file) => file.path) };
}
