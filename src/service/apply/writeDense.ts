import { elementCount } from '../../base/shape.ts';
import { countParameters } from '../../checkpoint/ties.ts';
import type { ApplyRequest } from '../../protocol/service.ts';
import { writeGguf } from '../../write/gguf.ts';
import { measuredErrors } from '../../write/measuredErrors.ts';
import { truncatedMetadata } from '../../write/metadata.ts';
import { writeSafetensors } from '../../write/safetensorsWriter.ts';
import type { Opened } from '../checkpoints/opened.ts';
import { denseGroups, ggufOf } from './denseGroups.ts';
import type { Destination } from './destination.ts';
import { everyTensor } from './everyTensor.ts';
import type { FactorWork, WriterReport } from './factorWork.ts';
import { refuseWorse } from './refuseWorse.ts';

/** Writes the checkpoint with W' in place of each planned W: the same names and shapes, which load everywhere. */
export async function writeDense(
  destination: Destination,
  { checkpoint }: Opened,
  request: ApplyRequest,
  work: FactorWork,
): Promise<WriterReport> {
  const { model } = destination;
  const { out, overwrite = false, plan } = request;
  const every = everyTensor(model);
  const errors = new Map<string, number>();
  const refuse = refuseWorse(model.plan, work.isCalibrated);
  const groups = denseGroups(destination, every, request, {
    ...work,
    measured: (name, error) => {
      refuse(name, error);
      errors.set(name, error);
    },
  });
  const written = groups.flatMap(({ tensors }) => tensors);
  const common = {
    out,
    sources: checkpoint.files.map(({ path }) => path),
    overwrite,
    signal: work.signal,
  };
  const bytesAfter =
    destination.kind === 'gguf'
      ? await writeGguf({ ...common, ...ggufOf(checkpoint, every, groups, out), progress: work.progress })
      : await writeSafetensors({
          ...common,
          tensors: written,
          metadata: truncatedMetadata(model.checkpoint, plan, [...every.chosen.values()]),
          progress: (done, name) => work.progress?.(done, written.length, name),
        });
  return {
    out,
    parametersBefore: countParameters(model.checkpoint.tensors, model.ties),
    parametersAfter: written.reduce((sum, { shape }) => sum + elementCount(shape), 0),
    bytesBefore: checkpoint.bytes,
    bytesAfter,
    ...measuredErrors(model.plan, every.chosen, errors),
  };
}
