import { layerFactors } from '../../adapters/writing/layers.ts';
import { throwIfCancelled } from '../../base/errors.ts';
import { yieldOrCancel } from '../../base/eventLoop.ts';
import type { LoraWritten, ResizeRequest, WrittenLayer } from '../../model/lora/written.ts';
import type { CallContext, StepProgress } from '../../protocol/service.ts';
import { resizedRank } from '../../spectrum/resizeRank.ts';
import { carriedTensor } from '../../write/carried.ts';
import { writeSafetensors } from '../../write/safetensorsWriter.ts';
import type { Opened } from '../checkpoints/opened.ts';
import { adapterFile, hasFlatNames, magnitudesOf, refuseForeignNames } from './adapterFile.ts';
import { kohyaTensors } from './kohyaTensors.ts';
import { factorsOfTriplets, thinSvd, truncationError } from './thinSvd.ts';
import { checkFolder, type EncodedLayer, parametersOf, typeOf, writeAdapterFolder } from './writeAdapter.ts';

/** Writes an adapter with other ranks, each layer truncated at the best approximation of its rank. */
export async function resize(
  opened: Opened,
  { path, out, overwrite = false, rank, method }: ResizeRequest,
  { signal, progress }: CallContext<StepProgress>,
): Promise<LoraWritten> {
  const file = await adapterFile(opened, path, signal);
  // A file of kohya remains one, since its names are not those of the modules.
  const flat = hasFlatNames(file);
  if (!flat) {
    refuseForeignNames(file);
    await checkFolder(out, overwrite, file.sources);
  }
  const layers: EncodedLayer[] = [];
  const report: WrittenLayer[] = [];
  for (const [done, layer] of file.layers.entries()) {
    const { target, form, update } = layer;
    throwIfCancelled(signal, path);
    progress?.({ done, total: file.layers.length, message: target });
    const factors = await layerFactors(layer, signal);
    const found = await thinSvd(factors, yieldOrCancel(signal, target));
    const chosen = method ? resizedRank(found.values, method.name, method.value) : found.values.length;
    const resized = factorsOfTriplets(found, Math.min(chosen, rank ?? chosen), [factors.outputs, factors.inputs]);
    layers.push({ target, form, factors: resized, dtype: typeOf(layer.dtype) });
    const error = truncationError(found.values, resized.rank);
    report.push({ name: target, rankBefore: update.rank, rank: resized.rank, error });
  }
  const { others, configuration, dora, sources } = file;
  const magnitudes = magnitudesOf(file);
  const bytes = flat
    ? await writeSafetensors({
        ...{ out, overwrite, sources, signal, metadata: opened.checkpoint.metadata },
        tensors: [
          ...kohyaTensors(
            layers.map((layer) => [`lora_${layer.target}`, layer]),
            magnitudes,
          ),
          ...others.map((tensor) => carriedTensor(tensor)),
        ],
      })
    : await writeAdapterFolder({
        ...{ out, overwrite, sources, layers, carried: others, magnitudes, configuration, signal },
      });
  const parametersBefore = file.layers.reduce(
    (sum, { update: { shape, rank: before } }) => sum + before * (shape[0] + shape[1]),
    0,
  );
  return {
    format: 'rankscope.loraWritten/1',
    kind: 'resize',
    out,
    layers: report,
    parametersBefore,
    parametersAfter: parametersOf(layers),
    bytes,
    remarks: dora
      ? ['It is a DoRA adapter: its magnitudes were kept, so the merged weights change by more than the errors say']
      : [],
  };
}
