import { basename } from 'node:path';
import type { DeviceInfo } from '../../base/deviceInfo.ts';
import type { Backend } from '../../devices/backend.ts';
import {
  type CompressionProgress,
  type CompressionReport,
  type CompressRequest,
  REFINEMENT,
} from '../../model/compression.ts';
import { isStored } from '../../model/matrix.ts';
import { networkWith, openNetwork } from '../../network/network.ts';
import type { CallContext } from '../../protocol/service.ts';
import { pythonModule } from '../../write/python.ts';
import { type OpenCheckpoints, type Opened, refuseChanged } from '../checkpoints/opened.ts';
import { smokeTest } from '../generate/smokeTest.ts';
import { refuseOther } from '../plan/refuseOther.ts';
import { rewrittenModel } from '../plan/rewrittenModel.ts';
import { RIDGE } from '../truncation/truncateBlock.ts';
import { compressBlocks } from './compressBlocks.ts';
import { CompressionSteps } from './compressionSteps.ts';
import { cutsOf } from './cutsOf.ts';
import { methodOf, reportOf } from './describe.ts';
import { estimated, type TokensOfWork, tokensAhead, tokensOf } from './estimated.ts';
import { fingerprintOf } from './fingerprint.ts';
import { measureResult } from './measure.ts';
import { PartialFolder } from './partialFolder.ts';
import { knownLosses, type PlanningParts, planForCompression } from './planForCompression.ts';
import { prepared } from './prepared.ts';
import { checkCompression, makeFolders, resultFiles } from './resultFiles.ts';
import { hasText } from './textForCompression.ts';
import { verifyWritten } from './verifyWritten.ts';
import { writeCompressed, writeText } from './writeCompressed.ts';

const SEED = 0;

/**
 * Compresses a network with a text to a share of its size: ranks by what they cost in loss, truncation on the inputs of
 * the compressed network, refinement of each block. Writes the result, its plan and a report, and goes on where an
 * earlier run of the same request was stopped.
 * @throws RankscopeError 'wrong-use' for a request out of range, files that exist or a text that is too short,
 *   'too-large' for blocks that do not fit, with the bytes, 'unsupported' for an architecture that is not known,
 *   'write-failed' when the disk is full, 'cancelled'; what is finished stays beside the result
 */
export async function compress(
  parts: PlanningParts,
  checkpoints: OpenCheckpoints,
  opened: Opened,
  request: CompressRequest,
  { signal, progress }: CallContext<CompressionProgress>,
): Promise<CompressionReport> {
  const started = performance.now();
  const { devices } = parts;
  const { checkpoint } = opened;
  const { out, seed = SEED, rate = REFINEMENT.rate } = request;
  checkCompression(request);
  if (request.from) refuseOther(request.from, opened);
  const files = await resultFiles(request, checkpoint);
  const network = await openNetwork(checkpoint, { signal });
  await makeFolders(files);
  const folder = await PartialFolder.open(out, await fingerprintOf(checkpoint, request), request.overwrite === true);
  const steps = new CompressionSteps(progress);
  const engine = devices.settle(request);
  const onDevice = <Result>(job: (backend: Backend, letOthers: () => Promise<void> | undefined) => Promise<Result>) =>
    devices.run(engine, checkpoint.path, { signal }, job);

  const work = async (info: DeviceInfo) => {
    const known = await folder.plan();
    const estimateFor = async (tokens: TokensOfWork, isMeasured: boolean, spent: number) => {
      const estimate = await onDevice((backend) =>
        estimated({ backend, opened, network, request, tokens, isMeasured, known: known?.schedule, spent, signal }),
      );
      steps.estimated(estimate, 'Estimated');
      return estimate;
    };
    // The network writes for minutes: all that it takes is said before.
    const isWritten = !hasText(request) && !(await folder.sampled());
    if (isWritten) await estimateFor(tokensAhead(request, network), false, 0);
    const begun = performance.now();
    const text = await prepared({ opened, network, request: { ...request, seed }, folder, onDevice, steps, signal });
    const losses = await knownLosses({ parts, opened, network, request, text, signal });
    const estimate = await estimateFor(
      tokensOf(text),
      losses !== undefined,
      isWritten ? (performance.now() - begun) / 1000 : 0,
    );
    const { schedule } = estimate;

    const plan =
      known?.plan ??
      (await folder.savePlan(
        await planForCompression({ parts, opened, network, request, text, schedule, losses, steps, signal, onDevice }),
        schedule,
      ));
    refuseOther(plan, opened);
    const model = rewrittenModel(opened, plan, await opened.tiesByContent(signal));
    const { cuts, dense } = cutsOf(model, network);

    const layers = network.decoder.layers.length;
    const compressed = await onDevice((backend, letOthers) =>
      compressBlocks({
        network,
        backend,
        windows: text,
        cuts,
        dense,
        schedule,
        rate,
        folder,
        signal,
        pause: letOthers,
        progress: (step) => steps.tell('blocks', { total: layers, ...step }),
      }),
    );
    await refuseChanged(checkpoint);

    const written = await writeCompressed(devices, {
      model,
      engine,
      files,
      compressed,
      overwrite: request.overwrite === true || files.isOwn,
      signal,
      progress: steps.of('write'),
    });
    await verifyWritten(out, compressed.factors);
    await folder.saveWritten(written.bytesAfter);
    const allow = { overwrite: request.overwrite === true || files.isOwn, sources: files.sources };
    await writeText(files.plan, `${JSON.stringify(plan)}\n`, allow);
    if (files.code !== null)
      await writeText(
        files.code,
        pythonModule({
          plan: model.plan,
          matrices: model.matrices.filter(isStored),
          weights: basename(out),
          remarks: model.remarks,
          ...(checkpoint.format === 'gguf' ? { ggufFile: basename(checkpoint.files[0]!.path) } : {}),
        }),
        allow,
      );

    const measured = await checkpoints.use(out, signal, (file) =>
      onDevice((backend, letOthers) =>
        measureResult(backend, network, networkWith(network, file.checkpoint), text, {
          letOthers,
          signal,
          progress: steps.of('measure'),
        }),
      ),
    );
    const trial = { opened, out, request };
    const context = { ...(signal && { signal }), progress: steps.of('smokeTest') };
    const tried = request.smokeTest === false ? null : await smokeTest(devices, checkpoints, trial, context);
    const report = reportOf({
      ...{ opened, request, files, text, plan, written, compressed, estimate },
      method: methodOf(plan, { ridge: RIDGE, steps: schedule.steps, rate, seed }),
      ...measured,
      smokeTest: tried,
      engine: info,
      seconds: (performance.now() - started) / 1000,
      notes: [...folder.notes, ...model.remarks],
    });
    await writeText(files.report, `${JSON.stringify(report)}\n`, allow);
    await folder.remove();
    return report;
  };
  try {
    return await devices.hold(engine, signal, work);
  } catch (error) {
    await folder.removeIfEmpty();
    throw error;
  }
}
