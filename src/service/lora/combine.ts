import { layerFactors } from '../../adapters/writing/layers.ts';
import { RankscopeError, throwIfCancelled } from '../../base/errors.ts';
import { seededRandom } from '../../base/random.ts';
import type { CombineRequest, LoraWritten, WrittenLayer } from '../../model/lora/written.ts';
import type { CallContext, StepProgress } from '../../protocol/service.ts';
import { truncatedSvd } from '../../spectrum/truncated.ts';
import type { Opened } from '../checkpoints/opened.ts';
import type { Devices } from '../devices/devices.ts';
import { type AdapterFile, adapterFile, refuseForeignNames } from './adapterFile.ts';
import { type Combining, combineLayer, type SharedLayer } from './combineLayer.ts';
import { checkFolder, type EncodedLayer, parametersOf, typeOf, writeAdapterFolder } from './writeAdapter.ts';

/** One adapter of several, as `add_weighted_adapter` of PEFT makes it. */
export async function combine(
  devices: Devices,
  opened: readonly Opened[],
  request: CombineRequest,
  { signal, progress }: CallContext<StepProgress>,
): Promise<LoraWritten> {
  const { paths, out, overwrite = false, weights = paths.map(() => 1) } = request;
  const { combination: wanted = 'svd', density = 1, majoritySign = 'total', seed = 1 } = request;
  if (weights.length !== paths.length)
    throw new RankscopeError(
      'wrong-use',
      out,
      `${weights.length} weights for ${paths.length} adapters`,
      'Give one each',
    );
  const files: AdapterFile[] = [];
  for (const [index, each] of opened.entries()) files.push(await adapterFile(each, paths[index]!, signal));
  for (const file of files) refuseForeignNames(file);
  refuseUnlike(files, out);
  // As PEFT does for a single adapter.
  const combination = files.length === 1 ? 'linear' : wanted;
  const sources = files.flatMap((file) => file.sources);
  await checkFolder(out, overwrite, sources);
  const engine = devices.settle(request);
  const random = seededRandom(seed).uniform;
  const largest = Math.max(...files.flatMap(({ layers }) => layers.map(({ update }) => update.rank)));
  const combining: Combining = {
    ...{ combination, density, majoritySign, random, rank: request.rank ?? largest, signal },
    decompose: (source, rank) =>
      devices.run(engine, source.name, { signal }, (backend) => truncatedSvd(backend, source, rank, { signal })),
  };
  const targets = [...new Set(files.flatMap(({ layers }) => layers.map(({ target }) => target)))];
  const layers: EncodedLayer[] = [];
  const report: WrittenLayer[] = [];
  for (const [done, target] of targets.entries()) {
    throwIfCancelled(signal, out);
    progress?.({ done, total: targets.length, message: target });
    const layer = await sharedLayer(files, weights, target, signal);
    const { factors, error } = await combineLayer(layer, combining);
    layers.push({ target, form: layer.form, factors, dtype: typeOf(layer.dtype) });
    const rankBefore = layer.parts.reduce((sum, { rank }) => sum + rank, 0);
    report.push({ name: target, rankBefore, rank: factors.rank, error });
  }
  const { configuration } = files[0]!;
  const carried = files.flatMap(({ others }) => others);
  const bytes = await writeAdapterFolder({
    ...{ out, overwrite, sources, layers, carried, configuration, signal },
  });
  return {
    format: 'rankscope.loraWritten/1',
    kind: 'combine',
    out,
    layers: report,
    parametersBefore: files.reduce(
      (sum, file) =>
        sum + file.layers.reduce((all, { update: { rank, shape } }) => all + rank * (shape[0] + shape[1]), 0),
      0,
    ),
    parametersAfter: parametersOf(layers),
    bytes,
    remarks: isDisjoint(files)
      ? [
          `The adapters have no layer in common: ${files[0]!.layers[0]!.target} is in the first alone. Are they of one base?`,
        ]
      : [],
  };
}

/** @throws RankscopeError 'unsupported' for what add_weighted_adapter cannot merge either */
function refuseUnlike(files: readonly AdapterFile[], out: string): void {
  const dora = files.find((file) => file.dora);
  if (dora)
    throw new RankscopeError(
      'unsupported',
      dora.path,
      'it is a DoRA adapter: its magnitudes depend on its own update',
      'Merge it into its base model instead',
    );
  const whole = files.filter(({ others }) => others.length > 0);
  if (whole.length > 1)
    throw new RankscopeError(
      'unsupported',
      out,
      `${whole.map(({ path }) => path).join(' and ')} both hold whole weights, such as ${whole[0]!.others[0]!.name}`,
      'Only one of the adapters may have them, because no rule says how to merge them',
    );
}

async function sharedLayer(
  files: readonly AdapterFile[],
  weights: readonly number[],
  target: string,
  signal: AbortSignal | undefined,
): Promise<SharedLayer> {
  const having = files.flatMap(({ path, layers }, index) => {
    const layer = layers.find((each) => each.target === target);
    return layer ? [{ layer, path, weight: weights[index]! }] : [];
  });
  const [first] = having;
  const shapeOf = ({ layer }: (typeof having)[number]) => layer.update.shape.join(' x ');
  for (const other of having)
    if (shapeOf(other) !== shapeOf(first!) || other.layer.form.kind !== first!.layer.form.kind)
      throw new RankscopeError(
        'wrong-use',
        other.path,
        `its update of ${target} is ${shapeOf(other)}, that of ${first!.path} is ${shapeOf(first!)}`,
        'Only adapters of one base model can be merged',
      );
  const parts = await Promise.all(having.map(({ layer }) => layerFactors(layer, signal)));
  const { form, dtype } = first!.layer;
  return { target, form, dtype, parts, weights: having.map(({ weight }) => weight) };
}

/** Whether no layer is in more than one of the adapters, as those of two architectures. */
function isDisjoint(files: readonly AdapterFile[]): boolean {
  const all = files.flatMap(({ layers }) => layers.map(({ target }) => target));
  return files.length > 1 && new Set(all).size === all.length;
}
