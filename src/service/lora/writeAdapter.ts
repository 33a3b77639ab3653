import { mkdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { LayerToWrite, NamedValues } from '../../adapters/writing/layers.ts';
import { peftConfig, peftTensors } from '../../adapters/writing/peft.ts';
import { RankscopeError } from '../../base/errors.ts';
import { elementCount } from '../../base/shape.ts';
import type { Tensor } from '../../checkpoint/tensor.ts';
import { attempt, writeWhole } from '../../files/wholeFile.ts';
import { carriedTensor } from '../../write/carried.ts';
import { encode, FACTOR_BYTES, type FactorType, factorType } from '../../write/encode.ts';
import { type TensorToWrite, writeSafetensors } from '../../write/safetensorsWriter.ts';
import { checkTarget } from '../../write/target.ts';

/** An adapter to write as a folder of PEFT. */
export interface AdapterToWrite {
  readonly out: string;
  readonly overwrite: boolean;
  /** Files that are never replaced. */
  readonly sources: readonly string[];
  readonly layers: readonly EncodedLayer[];
  /** Whole tensors, copied. */
  readonly carried: readonly Tensor[];
  /** The magnitudes of DoRA, by layer. */
  readonly magnitudes?: ReadonlyMap<string, Tensor>;
  /** The configuration of the adapter it was made from. */
  readonly configuration: Readonly<Record<string, unknown>>;
  readonly signal: AbortSignal | undefined;
}

/** A layer whose factors are already in the type they are written in. */
export interface EncodedLayer extends LayerToWrite {
  readonly dtype: FactorType;
}

const [WEIGHTS, CONFIGURATION] = ['adapter_model.safetensors', 'adapter_config.json'] as const;

/** @throws RankscopeError 'wrong-use' if the folder holds an adapter already and may not be overwritten */
export async function checkFolder(out: string, overwrite: boolean, sources: readonly string[]): Promise<void> {
  const found = await stat(out).catch(() => undefined);
  if (!found) return;
  if (!found.isDirectory())
    throw new RankscopeError('wrong-use', out, 'a file has this name', 'Name a folder for the adapter');
  for (const name of [WEIGHTS, CONFIGURATION])
    await checkTarget({ out: join(out, name), overwrite, sources, bytes: 0 });
}

/** The files of a folder that PEFT loads. */
interface PeftFiles extends Pick<AdapterToWrite, 'out' | 'overwrite' | 'sources' | 'signal'> {
  readonly tensors: readonly TensorToWrite[];
  readonly configuration: Readonly<Record<string, unknown>>;
  readonly progress?: ((done: number, name: string) => void) | undefined;
}

/**
 * Writes the weights and the configuration of an adapter; returns the size of the weights. The configuration comes
 * last: without it, an interrupted folder is not taken for an adapter.
 * @throws RankscopeError as `writeSafetensors` does
 */
export async function writePeftFiles(files: PeftFiles): Promise<number> {
  const { out, overwrite, sources, tensors, configuration, signal, progress } = files;
  await checkFolder(out, overwrite, sources);
  await attempt(out, () => mkdir(out, { recursive: true }));
  const weights = join(out, WEIGHTS);
  const metadata = new Map([['format', 'pt']]);
  const bytes = await writeSafetensors({ out: weights, tensors, metadata, sources, overwrite, signal, progress });
  const text = `${JSON.stringify(configuration, null, 2)}\n`;
  await writeWhole(join(out, CONFIGURATION), { overwrite }, (append) => append(text));
  return bytes;
}

/** Writes a folder that PEFT loads, as `writePeftFiles` does. */
export function writeAdapterFolder(adapter: AdapterToWrite): Promise<number> {
  const { out, overwrite, sources, layers, carried, signal, magnitudes = new Map() } = adapter;
  const tensors = [
    ...layers.flatMap((layer) => peftTensors(layer).map((each) => encoded(each, layer.dtype))),
    ...carried.map((tensor) => ({ ...carriedTensor(tensor), name: wrapped(tensor.name) })),
    ...[...magnitudes].map(([target, tensor]) => ({
      ...carriedTensor(tensor),
      name: `${wrapped(target)}.lora_magnitude_vector`,
      shape: [elementCount(tensor.shape)],
    })),
  ];
  const configuration = peftConfig(layers, adapter.configuration, magnitudes.size > 0);
  return writePeftFiles({ out, overwrite, sources, tensors, configuration, signal });
}

const wrapped = (name: string) => (name.startsWith('base_model.model.') ? name : `base_model.model.${name}`);

export function encoded({ name, shape, values }: NamedValues, dtype: FactorType): TensorToWrite {
  return {
    name,
    shape,
    dtype,
    bytes: elementCount(shape) * FACTOR_BYTES[dtype],
    async *content() {
      yield encode(values, dtype);
    },
  };
}

export function parametersOf(layers: readonly { readonly factors: LayerToWrite['factors'] }[]): number {
  return layers.reduce((sum, { factors: { up, down } }) => sum + up.length + down.length, 0);
}

export const typeOf = (dtype: string): FactorType =>
  /^[IUB]/.test(dtype) && dtype !== 'BF16' ? 'F32' : factorType(dtype);
