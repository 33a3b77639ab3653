import { updateFactors } from '../../adapters/updateRows.ts';
import { RankscopeError } from '../../base/errors.ts';
import { yieldOrCancel } from '../../base/eventLoop.ts';
import { valuesOf } from '../../checkpoint/tensor.ts';
import { untied } from '../../checkpoint/ties.ts';
import type { LoraWritten, MergeIntoRequest } from '../../model/lora/written.ts';
import type { CallContext, StepProgress } from '../../protocol/service.ts';
import { carriedTensor } from '../../write/carried.ts';
import { encode, type FactorType } from '../../write/encode.ts';
import { type TensorToWrite, writeSafetensors } from '../../write/safetensorsWriter.ts';
import type { Opened } from '../checkpoints/opened.ts';
import { adapterFile } from './adapterFile.ts';
import { type Change, changesOf } from './changes.ts';

/** Writes the base with an adapter added to its weights; one matrix at a time is in memory. */
export async function mergeInto(
  adapter: Opened,
  base: Opened,
  { path, base: basePath, out, overwrite = false, weight = 1 }: MergeIntoRequest,
  { signal, progress }: CallContext<StepProgress>,
): Promise<LoraWritten> {
  const file = await adapterFile(adapter, path, signal);
  if (file.others.length > 0)
    throw new RankscopeError(
      'unsupported',
      path,
      `it has whole weights beside its updates, such as ${file.others[0]!.name}`,
      'Only updates can be added to a base',
    );
  const changes = changesOf(file.layers, base, basePath, path);
  const ties = await base.tiesByContent(signal);
  const tensors = untied(base.checkpoint.tensors, ties);
  const firstOf = new Map(ties.flatMap((group) => group.map((name) => [name, group[0]!] as const)));
  const byName = new Map(
    changes.map((change) => [firstOf.get(change.matrix.tensorName) ?? change.matrix.tensorName, change]),
  );
  const bytes = await writeSafetensors({
    ...{ out, overwrite, signal },
    tensors: tensors.map((tensor) => {
      const change = byName.get(tensor.name);
      return change ? mergedTensor(change, weight) : carriedTensor(tensor);
    }),
    metadata: new Map([['format', 'pt']]),
    sources: [...file.sources, ...base.checkpoint.files.map((each) => each.path)],
    progress: (done, message) => progress?.({ done, total: tensors.length, message }),
  });
  const parameters = tensors.reduce((sum, { shape }) => sum + shape.reduce((all, size) => all * size, 1), 0);
  const tied = changes.filter(({ matrix }) => firstOf.has(matrix.tensorName));
  return {
    format: 'rankscope.loraWritten/1',
    kind: 'into',
    out,
    layers: changes.map(({ layer: { target, update } }) => ({
      ...{ name: target, rankBefore: update.rank, rank: update.rank, error: null },
    })),
    parametersBefore: parameters,
    parametersAfter: parameters,
    bytes,
    remarks: tied.map(
      ({ matrix }) => `${matrix.tensorName} is tied: what was added to it counts for its twin as well.`,
    ),
  };
}

/** W + weight scale B A in the type of W; with DoRA, its rows rescaled to the magnitudes (Liu et al. 2024). */
export function mergedTensor({ layer, matrix }: Change, weight: number): TensorToWrite {
  const { tensor, transposed } = matrix;
  const { name, shape } = tensor;
  const dtype = tensor.dtype as FactorType;
  return {
    name,
    shape,
    dtype,
    bytes: tensor.bytes,
    async *content(signal) {
      const values = await valuesOf(tensor, signal);
      if (!values.every(Number.isFinite))
        throw new RankscopeError('not-finite', name, 'contains NaN or infinity in the base', 'Repair the base first');
      const { up, down, outputs, inputs, rank, scale } = await updateFactors(layer.target, layer.update, signal);
      const magnitudes = layer.magnitude && (await valuesOf(layer.magnitude, signal));
      const pause = yieldOrCancel(signal, name);
      const row = new Float64Array(inputs);
      const [rowStep, colStep] = transposed ? [1, outputs] : [inputs, 1];
      for (let i = 0; i < outputs; i++) {
        await pause();
        row.fill(0);
        for (let k = 0; k < rank; k++) {
          const factor = weight * scale * up[i * rank + k]!;
          for (let j = 0; j < inputs; j++) row[j]! += factor * down[k * inputs + j]!;
        }
        let norm = 0;
        for (let j = 0; j < inputs; j++) {
          row[j]! += values[matrix.offset + i * rowStep + j * colStep]!;
          norm += row[j]! * row[j]!;
        }
        const rescaled = magnitudes && norm > 0 ? magnitudes[i]! / Math.sqrt(norm) : 1;
        for (let j = 0; j < inputs; j++) values[matrix.offset + i * rowStep + j * colStep] = rescaled * row[j]!;
      }
      yield encode(values, dtype);
    },
  };
}
