import { basename, resolve } from 'node:path';
import { RankscopeError } from '../../base/errors.ts';
import type { Checkpoint } from '../../checkpoint/checkpoint.ts';
import { isStored } from '../../model/matrix.ts';
import { truncationNote } from '../../model/plan/onInputs.ts';
import type { FactorizedReport } from '../../model/plan/plan.ts';
import type { ApplyReport, ApplyRequest, CallContext, StepProgress } from '../../protocol/service.ts';
import { writeFactorized } from '../../write/factorized.ts';
import { pythonModule } from '../../write/python.ts';
import { checkTarget, writeTarget } from '../../write/target.ts';
import type { SpectraParts } from '../analysis/spectra.ts';
import type { Opened } from '../checkpoints/opened.ts';
import { refuseOther } from '../plan/refuseOther.ts';
import type { RewrittenModel } from '../plan/rewrittenModel.ts';
import type { CalibratedFactors } from '../truncation/calibratedFactors.ts';
import { withCalibratedFactors } from '../truncation/withCalibratedFactors.ts';
import { type Destination, destinationOf } from './destination.ts';
import { type FactorWork, factorWork, type WriterReport } from './factorWork.ts';
import { filesRead } from './filesRead.ts';
import { writeDense } from './writeDense.ts';
import { writeModelFolder } from './writeModelFolder.ts';

/**
 * Writes what the plan makes of the checkpoint, as a file or a folder, and on request the Python code; resolves or
 * rejects once temporary files are gone.
 * @throws RankscopeError 'wrong-use' for a plan of another checkpoint or a target that may not be written,
 *   'write-failed', 'cancelled', and what the writers throw
 */
export async function apply(
  { devices }: SpectraParts,
  opened: Opened,
  request: ApplyRequest,
  context: CallContext<StepProgress>,
): Promise<Omit<ApplyReport, 'smokeTest'>> {
  const { signal } = context;
  const { out } = request;
  const engine = devices.settle(request);
  refuseOther(request.plan, opened);
  const code = await checkedCode(request, opened);
  const destination = await destinationOf(opened, request, signal);
  const { model } = destination;
  return devices.hold(engine, signal, async () => {
    const planned = { devices, engine, opened, model, out, dtype: request.dtype, context };
    const report = await withCalibratedFactors(planned, request.calibration, async (calibrated) => {
      const written = await write(destination, opened, request, factorWork(devices, engine, calibrated, context));
      return calibrated ? withInputErrors(written, calibrated) : written;
    });
    if (code) await writeCode(code, request, model);
    const note = request.calibration ? undefined : truncationNote('The plan', request.plan);
    const told = [...(note === undefined ? [] : [note]), ...model.remarks, ...(report.remarks ?? [])];
    return { ...report, code: code?.out ?? null, ...(told.length > 0 ? { remarks: told } : {}) };
  });
}

function write(
  destination: Destination,
  opened: Opened,
  request: ApplyRequest,
  work: FactorWork,
): Promise<WriterReport> {
  if (destination.kind === 'folder') return writeModelFolder(destination, opened, request, work);
  if (request.dense === true) return writeDense(destination, opened, request, work);
  const { out, overwrite = false, dtype, style } = request;
  const { checkpoint, matrices, plan, ties } = destination.model;
  return writeFactorized({ checkpoint, matrices, plan, ties, out, overwrite, dtype, style, ...work });
}

/** The report with what the factors were found on, and what the matrices lose on their inputs. */
function withInputErrors<Report extends FactorizedReport>(report: Report, { inputErrors, use }: CalibratedFactors) {
  const matrices = report.matrices.map((matrix) => ({ ...matrix, inputError: inputErrors.get(matrix.name) ?? null }));
  return { ...report, matrices, calibration: use() };
}

type Code = NonNullable<Awaited<ReturnType<typeof checkedCode>>>;

async function writeCode(
  code: Code,
  { out, style }: ApplyRequest,
  { checkpoint, matrices, plan, remarks }: RewrittenModel,
) {
  const text = pythonModule({
    plan,
    matrices: matrices.filter(isStored),
    weights: basename(out),
    ...(style === undefined ? {} : { style }),
    remarks,
    ...ggufFileOf(checkpoint),
  });
  await writeTarget({ ...code, bytes: Buffer.byteLength(text) }, (append) => append(text));
}

/** transformers derives a configuration from a GGUF file. */
function ggufFileOf({ format, files }: Checkpoint): { ggufFile?: string } {
  return format === 'gguf' && files[0] ? { ggufFile: basename(files[0].path) } : {};
}

/** Checks the name before the weights are written, so that a wrong one costs nothing. */
async function checkedCode({ code, ...request }: ApplyRequest, opened: Opened) {
  if (code === undefined) return undefined;
  if (request.form === 'folder')
    throw new RankscopeError('wrong-use', code, 'a folder has its own code', 'Leave the code out');
  if (request.dense === true)
    throw new RankscopeError('wrong-use', code, 'dense weights need no code', 'Leave the code out');
  if (resolve(code) === resolve(request.out))
    throw new RankscopeError('wrong-use', code, 'the weights and the code would be one file', 'Choose two names');
  const target = { out: code, overwrite: request.overwrite === true, sources: filesRead(request, opened) };
  await checkTarget({ ...target, bytes: 0 });
  return target;
}
