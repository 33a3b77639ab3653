import { basename, resolve } from 'node:path';
import { RankscopeError } from '../../base/errors.ts';
import type { Checkpoint } from '../../checkpoint/checkpoint.ts';
import { isStored } from '../../model/matrix.ts';
import { truncationNote } from '../../model/plan/onInputs.ts';
import type { FactorizedReport } from '../../model/plan/plan.ts';
import type { ApplyReport, ApplyRequest, CallContext, StepProgress } from '../../protocol/service.ts';
import { sharedFactors } from '../../spectrum/sharedFactors.ts';
import { writeFactorized } from '../../write/factorized.ts';
import { pythonModule } from '../../write/python.ts';
import { checkTarget, writeTarget } from '../../write/target.ts';
import type { SpectraParts } from '../analysis/spectra.ts';
import type { Opened } from '../checkpoints/opened.ts';
import { sharingOf } from '../sharing/sharingOf.ts';
import type { CalibratedFactors } from '../truncation/calibratedFactors.ts';
import { withCalibratedFactors } from '../truncation/withCalibratedFactors.ts';
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
  context: CallContext<StepProgress>,
): Promise<Omit<ApplyReport, 'smokeTest'>> {
  const { signal, progress } = context;
  const { out, code, style, overwrite = false } = request;
  const engine = devices.settle(request);
  refuseOther(request.plan, opened);
  const codeTarget = code === undefined ? undefined : await checkedCode(code, request, opened);
  const tied = await opened.tiesByContent(signal);
  await checkTarget({ out, overwrite, sources: filesRead(request, opened), bytes: 0 });
  const model = rewrittenModel(opened, request.plan, tied);
  const { checkpoint, matrices, plan, ties, remarks } = model;
  const planned = { devices, engine, opened, model, out, context };
  const write = (calibrated: CalibratedFactors | undefined) =>
    writeFactorized({
      checkpoint,
      matrices,
      plan,
      ties,
      ...(style === undefined ? {} : { style }),
      out,
      overwrite,
      signal,
      factorsOf: async (matrix, rank) =>
        (await calibrated?.factorsOf(matrix, rank)) ??
        devices.run(engine, matrix.name, { signal }, (backend) => networkTriplets(backend, matrix, rank, signal)),
      ...(calibrated
        ? {}
        : {
            sharedFactorsOf: (group, rank) =>
              devices.run(engine, group.name, { signal }, (backend) =>
                sharedFactors(backend, sharingOf(group), rank, { signal }),
              ),
          }),
      residualOf: (matrix, factors) =>
        devices.run(engine, matrix.name, { signal }, (backend) =>
          deviceResidual(backend, matrix.source(), matrix, factors, signal),
        ),
      progress: (done, total, message) => progress?.({ done, total, message }),
    });
  return devices.hold(engine, signal, async () => {
    const report = await withCalibratedFactors(planned, request.calibration, async (calibrated) => {
      const written = await write(calibrated);
      return calibrated ? withInputErrors(written, calibrated) : written;
    });
    if (codeTarget) {
      const text = pythonModule({
        plan,
        matrices: matrices.filter(isStored),
        weights: basename(out),
        ...(style === undefined ? {} : { style }),
        remarks,
        ...ggufFileOf(checkpoint),
      });
      await writeTarget({ ...codeTarget, bytes: Buffer.byteLength(text) }, (append) => append(text));
    }
    const note = request.calibration ? undefined : truncationNote('The plan', request.plan);
    const told = note === undefined ? remarks : [note, ...remarks];
    return { ...report, code: code ?? null, ...(told.length > 0 ? { remarks: told } : {}) };
  });
}

/** The report with what the factors were found on, and what the matrices lose on their inputs. */
function withInputErrors(report: FactorizedReport, { inputErrors, use }: CalibratedFactors) {
  const matrices = report.matrices.map((matrix) => ({ ...matrix, inputError: inputErrors.get(matrix.name) ?? null }));
  return { ...report, matrices, calibration: use() };
}

/** transformers derives a configuration from a GGUF file. */
function ggufFileOf({ format, files }: Checkpoint): { ggufFile?: string } {
  return format === 'gguf' && files[0] ? { ggufFile: basename(files[0].path) } : {};
}

/** Checks the name before the weights are written, so that a wrong one costs nothing. */
async function checkedCode(code: string, request: ApplyRequest, opened: Opened) {
  if (resolve(code) === resolve(request.out)) {
    throw new RankscopeError('wrong-use', code, 'the weights and the code would be one file', 'Choose two names');
  }
  const target = { out: code, overwrite: request.overwrite === true, sources: filesRead(request, opened) };
  await checkTarget({ ...target, bytes: 0 });
  return target;
}

/** The files that no result may replace: the checkpoint, and the text or the statistics of a calibration. */
function filesRead({ calibration }: ApplyRequest, { checkpoint }: Opened): string[] {
  const given = [calibration?.file, calibration?.ids].filter((file) => file !== undefined);
  return [...checkpoint.files.map(({ path }) => path), ...given];
}
