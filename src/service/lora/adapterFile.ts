import { type AdapterLayer, adapterLayers } from '../../adapters/writing/layers.ts';
import { peftConfigBeside } from '../../adapters/writing/peftFile.ts';
import type { Tensor } from '../../checkpoint/tensor.ts';
import type { Opened } from '../checkpoints/opened.ts';

/** An adapter that is read in order to write another one. */
export interface AdapterFile {
  readonly path: string;
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
