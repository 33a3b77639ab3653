import { type AdapterLayer, type LayerFactors, layerFactors } from '../../adapters/writing/layers.ts';
import { kohyaName, moduleResolver, withoutPart } from '../../adapters/writing/moduleNames.ts';
import { peftTensors } from '../../adapters/writing/peft.ts';
import { RankscopeError, throwIfCancelled } from '../../base/errors.ts';
import type { ConvertRequest, LoraLoader, LoraWritten } from '../../model/lora/written.ts';
import type { CallContext, StepProgress } from '../../protocol/service.ts';
import { type TensorToWrite, writeSafetensors } from '../../write/safetensorsWriter.ts';
import type { Opened } from '../checkpoints/opened.ts';
import { type AdapterFile, adapterFile, hasOwnNames, magnitudesOf } from './adapterFile.ts';
import { kohyaTensors } from './kohyaTensors.ts';
import { checkFolder, type EncodedLayer, encoded, parametersOf, typeOf, writeAdapterFolder } from './writeAdapter.ts';

/** Writes an adapter under the names of another library, in a form that a loader reads as it is meant. */
export async function convert(
  opened: Opened,
  base: Opened | undefined,
  request: ConvertRequest,
  { signal, progress }: CallContext<StepProgress>,
): Promise<LoraWritten> {
  const { path, out, names, loader = 'peft', overwrite = false } = request;
  const file = await adapterFile(opened, path, signal);
  const sources = [...file.sources, ...(base?.checkpoint.files.map((each) => each.path) ?? [])];
  refuseFor(loader, names, file);
  const nameOf = modulesOf(opened, base, path);
  if (names === 'peft') await checkFolder(out, overwrite, sources);
  const largest = Math.max(...file.layers.map(({ update }) => update.rank));
  const layers: EncodedLayer[] = [];
  for (const [done, layer] of file.layers.entries()) {
    throwIfCancelled(signal, path);
    progress?.({ done, total: file.layers.length, message: layer.target });
    const module = nameOf(layer.target);
    const target = names === 'peft' ? withoutPart(module) : module;
    const factors = scaledFor(loader, names, await layerFactors(layer, signal), largest);
    layers.push({ target, form: layer.form, factors, dtype: typeOf(layer.dtype) });
  }
  const { configuration, others } = file;
  const magnitudes = new Map(
    [...magnitudesOf(file)].map(([target, tensor]) => [layers[indexOf(file, target)]!.target, tensor]),
  );
  const bytes =
    names === 'peft'
      ? await writeAdapterFolder({
          ...{ out, overwrite, sources, layers, carried: others, magnitudes, configuration, signal },
        })
      : await writeSafetensors({
          ...{ out, overwrite, sources, signal, metadata: new Map([['format', 'pt']]) },
          tensors: names === 'kohya' ? kohyaTensors(named(layers), magnitudes) : layers.flatMap(diffusersTensors),
        });
  return {
    format: 'rankscope.loraWritten/1',
    kind: 'convert',
    out,
    layers: file.layers.map(({ target, update: { rank } }) => ({ name: target, rankBefore: rank, rank, error: 0 })),
    parametersBefore: parametersOf(layers),
    parametersAfter: parametersOf(layers),
    bytes,
    remarks: remarksOf(loader, names, file),
  };
}

const indexOf = ({ layers }: AdapterFile, target: string) => layers.findIndex((each) => each.target === target);

/** What a loader ignores, and would then apply wrongly. @throws RankscopeError 'unsupported' */
function refuseFor(loader: LoraLoader, names: string, { path, layers, others, dora }: AdapterFile): void {
  const refuse = (found: string, remedy: string): never => {
    throw new RankscopeError('unsupported', path, found, remedy);
  };
  const intoBase = 'Merge it into its base model with: rankscope lora merge --into BASE';
  if ((loader === 'vllm' || loader === 'llama.cpp') && names !== 'peft')
    refuse(`${loader} reads adapters of PEFT, not ${names}`, 'Leave out --to, or name another loader');
  if (loader === 'comfyui' && names === 'peft')
    refuse('ComfyUI does not read adapter_config.json', 'Choose --to kohya or --to diffusers');
  if ((loader === 'vllm' || loader === 'llama.cpp') && dora) refuse(`${loader} cannot load DoRA`, intoBase);
  if (names === 'diffusers' && dora) refuse('magnitudes of DoRA have no agreed name there', 'Choose --to kohya');
  const kernel = layers.find(({ form }) => form.kind === 'kernel');
  if ((loader === 'vllm' || loader === 'llama.cpp') && kernel)
    refuse(`${loader} does not load updates of convolutions, such as ${kernel.target}`, intoBase);
  const table = layers.find(({ form }) => form.kind === 'embedding');
  if (names !== 'peft' && table) refuse(`${table.target} is an embedding, for which ${names} has no names`, intoBase);
  if (others.length > 0 && (loader !== 'peft' || names !== 'peft'))
    refuse(`it has whole weights beside its updates, such as ${others[0]!.name}, which would be lost`, intoBase);
}

/**
 * The same update with the scale that a loader gives it: 1 for vLLM, which takes alpha / r of the configuration alone,
 * and for names without a configuration; one alpha over the rank of each layer for llama.cpp.
 */
function scaledFor(loader: LoraLoader, names: string, factors: LayerFactors, largest: number): LayerFactors {
  const { rank, scale } = factors;
  if (names === 'kohya' || (loader === 'peft' && names === 'peft')) return factors;
  const wanted = loader === 'llama.cpp' ? largest / rank : 1;
  return { ...factors, up: Float64Array.from(factors.up, (value) => (value * scale) / wanted), scale: wanted };
}

/** Module names as the model has them. @throws RankscopeError 'unsupported' where they cannot be known */
function modulesOf(opened: Opened, base: Opened | undefined, path: string): (target: string) => string {
  const { naming } = opened.adapter;
  const resolve = moduleResolver(
    (base?.checkpoint.tensors ?? []).map(({ name }) => name.replace(/\.(weight|bias)$/, '')),
  );
  return (target) => {
    const found = resolve(target);
    if (found !== undefined) return found;
    // Names with dots are paths already, unless they are those of another implementation of the model.
    const isPath = naming === 'kohya' ? target.includes('.') : !hasOwnNames(naming);
    if (isPath) return target;
    const why = base ? `the base has no module ${target}` : `${target} joins the parts of a path with underscores`;
    throw new RankscopeError(
      'unsupported',
      path,
      hasOwnNames(naming) ? `${target} is a name of ${naming}, which is not that of the model` : why,
      hasOwnNames(naming)
        ? 'Convert it with the tools of that library'
        : base
          ? 'Give the base that the adapter was trained on'
          : 'Give the model that has these modules with --base',
    );
  };
}

/** The layers by their names in kohya's files, whose numbers of text encoders depend on how many there are. */
function named(layers: readonly EncodedLayer[]): [string, EncodedLayer][] {
  const several = layers.some(({ target }) => target.startsWith('text_encoder_2.'));
  return layers.map((layer) => [kohyaName(layer.target, several), layer]);
}

function diffusersTensors(layer: EncodedLayer): TensorToWrite[] {
  return peftTensors(layer, '').map((each) => encoded(each, layer.dtype));
}

function remarksOf(loader: LoraLoader, names: string, { layers }: AdapterFile): string[] {
  const scales = new Set(layers.map(({ update }) => update.scale));
  const ranks = new Set(layers.map(({ update }: AdapterLayer) => update.rank));
  if (names === 'kohya') return ['Each layer has its alpha beside it.'];
  if (loader === 'peft' && names === 'peft') return [];
  const patterns = scales.size > 1 || ranks.size > 1;
  const reader = names === 'diffusers' ? 'Readers of these names' : loader;
  return [
    `${reader} would ignore ${patterns ? 'the ranks and alphas of single layers' : 'the scale'}: it is in the factors now.`,
  ];
}
