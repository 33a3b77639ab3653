import { updateFactors } from '../../adapters/updateRows.ts';
import { type LayerFactors, layerFactors } from '../../adapters/writing/layers.ts';
import { throwIfCancelled } from '../../base/errors.ts';
import { yieldOrCancel } from '../../base/eventLoop.ts';
import type { SingularTriplets } from '../../base/singularTriplets.ts';
import { valuesOf } from '../../checkpoint/tensor.ts';
import type { RowSource } from '../../devices/backend.ts';
import type { CleanRequest, Intruder, LoraWritten, WrittenLayer } from '../../model/lora/written.ts';
import type { CallContext, StepProgress } from '../../protocol/service.ts';
import { truncatedSvd } from '../../spectrum/truncated.ts';
import type { Opened } from '../checkpoints/opened.ts';
import type { Devices } from '../devices/devices.ts';
import { adapterFile, magnitudesOf, refuseForeignNames } from './adapterFile.ts';
import { type Change, changesOf } from './changes.ts';
import { concatenated } from './combineLayer.ts';
import { factorsOfTriplets, thinSvd } from './thinSvd.ts';
import { checkFolder, type EncodedLayer, parametersOf, typeOf, writeAdapterFolder } from './writeAdapter.ts';

type Decompose = (source: RowSource, rank: number, exact: boolean) => Promise<SingularTriplets>;

/**
 * Weakens the intruder dimensions of an adapter: leading left singular vectors of the tuned weight that are nearly
 * orthogonal to all of the base (Shuttleworth et al., "LoRA vs Full Fine-tuning: An Illusion of Equivalence", 2024), as
 * PEFT's `reduce_intruder_dimension` does.
 */
export async function clean(
  devices: Devices,
  opened: Opened,
  base: Opened,
  request: CleanRequest,
  { signal, progress }: CallContext<StepProgress>,
): Promise<LoraWritten> {
  const { path, base: basePath, out = null, overwrite = false } = request;
  const file = await adapterFile(opened, path, signal);
  refuseForeignNames(file);
  const sources = [...file.sources, ...base.checkpoint.files.map((each) => each.path)];
  if (out !== null) await checkFolder(out, overwrite, sources);
  const engine = devices.settle(request);
  const decompose: Decompose = (source, rank, exact) =>
    devices.run(engine, source.name, { signal }, (backend) =>
      truncatedSvd(backend, source, rank, { signal, ...(exact ? { route: 'exact' } : {}) }),
    );
  const layers: EncodedLayer[] = [];
  const report: WrittenLayer[] = [];
  const changes = changesOf(file.layers, base, basePath, path);
  for (const [done, change] of changes.entries()) {
    const { target, form, dtype } = change.layer;
    throwIfCancelled(signal, path);
    progress?.({ done, total: changes.length, message: target });
    const before = await layerFactors(change.layer, signal);
    // The table of an embedding has a row for each token: its singular vectors are no directions of a layer's outputs.
    const found = form.kind === 'embedding' ? [] : await intrudersOf(change, request, decompose, signal);
    const isKept = found.length === 0 || out === null;
    const factors = isKept ? before : await withoutIntruders(before, found, request, target, signal);
    layers.push({ target, form, factors, dtype: typeOf(dtype) });
    const intruders = found.map(({ singularValue, cosine }): Intruder => ({ singularValue, cosine }));
    report.push({ name: target, rankBefore: before.rank, rank: factors.rank, error: null, intruders });
  }
  const { others, configuration } = file;
  const magnitudes = magnitudesOf(file);
  const bytes =
    out === null
      ? 0
      : await writeAdapterFolder({
          ...{ out, overwrite, sources, layers, carried: others, magnitudes, configuration, signal },
        });
  const count = report.reduce((sum, { intruders = [] }) => sum + intruders.length, 0);
  return {
    format: 'rankscope.loraWritten/1',
    kind: 'clean',
    out,
    layers: report,
    parametersBefore: parametersOf(layers),
    parametersAfter: parametersOf(layers),
    bytes,
    remarks: [
      `${count} intruder directions were found, in ${report.filter((each) => each.intruders?.length).length} layers.`,
    ],
  };
}

interface FoundIntruder extends Intruder {
  readonly left: Float64Array;
  readonly right: Float64Array;
}

async function intrudersOf(
  { layer, matrix }: Change,
  { top = 10, threshold = 0.5 }: CleanRequest,
  decompose: Decompose,
  signal: AbortSignal | undefined,
): Promise<FoundIntruder[]> {
  const [m, n] = matrix.shape;
  const most = Math.min(m, n);
  const { name, transposed, offset, tensor } = matrix;
  const values = await valuesOf(tensor, signal);
  const at = (i: number, j: number) => values[offset + (transposed ? j * m + i : i * n + j)]!;
  const { up, down, rank, scale } = await updateFactors(layer.target, layer.update, signal);
  const rows = (tuned: boolean): RowSource => ({
    name,
    rows: m,
    cols: n,
    async read(row, out) {
      for (let i = 0; i < out.length / n; i++) {
        const own = out.subarray(i * n, (i + 1) * n);
        for (let j = 0; j < n; j++) own[j] = at(row + i, j);
        for (let k = 0; tuned && k < rank; k++) {
          const factor = scale * up[(row + i) * rank + k]!;
          for (let j = 0; j < n; j++) own[j]! += factor * down[k * n + j]!;
        }
      }
    },
  });
  const own = await decompose(rows(false), most, true);
  const tuned = await decompose(rows(true), Math.min(top, most), false);
  const kept = tuned.values.length;
  const pause = yieldOrCancel(signal, name);
  const found: FoundIntruder[] = [];
  for (let k = 0; k < kept; k++) {
    const left = Float64Array.from({ length: m }, (_, i) => tuned.left[i * kept + k]!);
    const products = new Float64Array(most);
    for (let i = 0; i < m; i++) {
      await pause();
      for (let c = 0; c < most; c++) products[c]! += left[i]! * own.left[i * most + c]!;
    }
    const cosine = products.reduce((largest, each) => Math.max(largest, Math.abs(each)), 0);
    if (cosine >= threshold) continue;
    const right = Float64Array.from({ length: n }, (_, j) => tuned.right[j * kept + k]!);
    found.push({ singularValue: tuned.values[k]!, cosine, left, right });
  }
  return found;
}

/** scale B A minus the part of the intruders that goes, at the best approximation of the old rank. */
async function withoutIntruders(
  before: LayerFactors,
  intruders: readonly FoundIntruder[],
  { remain = 0.75 }: CleanRequest,
  target: string,
  signal: AbortSignal | undefined,
): Promise<LayerFactors> {
  const { outputs, inputs, rank } = before;
  const parts = intruders.map(({ left, right, singularValue }): LayerFactors => {
    return { up: left, down: right, outputs, inputs, rank: 1, scale: (remain - 1) * singularValue };
  });
  const sum = concatenated([before, ...parts], [1, ...parts.map(() => 1)]);
  return factorsOfTriplets(await thinSvd(sum, yieldOrCancel(signal, target)), rank, [outputs, inputs]);
}
