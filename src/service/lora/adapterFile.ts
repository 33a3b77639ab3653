import { type AdapterLayer, adapterLayers } from '../../adapters/writing/layers.ts';
import { peftConfigBeside } from '../../adapters/writing/peftFile.ts';
import { RankscopeError } from '../../base/errors.ts';
import type { Tensor } from '../../checkpoint/tensor.ts';
import type { Opened } from '../checkpoints/opened.ts';

/** Libraries with names of their own for the modules of a model. */
const OWN_NAMES: ReadonlySet<string> = new Set(['gguf', 'torchtune', 'nemo', 'xlabs', 'cloneofsimo', 'control-lora']);

/** Whether a library calls the modules of a model otherwise than the model's code does, but for kohya's underscores. */
export const hasOwnNames = (naming: string): boolean => OWN_NAMES.has(naming);

/** Whether the names are those of kohya, with underscores in place of dots. */
export function hasFlatNames({ layers, naming }: AdapterFile): boolean {
  return naming === 'kohya' && layers.some(({ target }) => !target.includes('.'));
}

/** @throws RankscopeError 'unsupported' where PEFT would not find the modules */
export function refuseForeignNames(file: AdapterFile): void {
  const { naming, path, layers } = file;
  const flat = hasFlatNames(file);
  if (!flat && !hasOwnNames(naming)) return;
  throw new RankscopeError(
    'unsupported',
    path,
    `${layers[0]!.target} is a name of ${naming}, which PEFT would not find in the model`,
    flat ? 'Convert it first, with: rankscope lora convert --base MODEL' : 'Convert it with the tools of that library',
  );
}

/** An adapter that is read in order to write another one. */
export interface AdapterFile {
  readonly path: string;
  /** The library that named its tensors. */
  readonly naming: string;
  readonly layers: readonly AdapterLayer[];
  /** Whole weights and biases beside the updates. */
  readonly others: readonly Tensor[];
  readonly configuration: Readonly<Record<string, unknown>>;
  readonly dora: boolean;
  readonly sources: readonly string[];
}

/** @throws RankscopeError as `adapterLayers` does */
export async function adapterFile(
  { checkpoint, adapter }: Opened,
  path: string,
  signal: AbortSignal | undefined,
): Promise<AdapterFile> {
  const layers = adapterLayers(path, adapter);
  const used = new Set<Tensor>(layers.flatMap(({ update }) => update.tensors));
  return {
    path,
    naming: adapter.naming,
    layers,
    // The alphas of kohya are in the scales.
    others: checkpoint.tensors.filter((tensor) => !used.has(tensor) && !tensor.name.endsWith('.alpha')),
    configuration: await peftConfigBeside(checkpoint, signal),
    dora: layers.some(({ update }) => update.dora),
    sources: checkpoint.files.map((file) => file.path),
  };
}

/** The magnitudes of DoRA, by layer. */
export function magnitudesOf({ layers }: AdapterFile): Map<string, Tensor> {
  return new Map(layers.flatMap(({ target, magnitude }) => (magnitude ? [[target, magnitude] as const] : [])));
}
