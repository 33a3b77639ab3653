import { peftConfig } from '../../../adapters/writing/peft.ts';
import type { Checkpoint } from '../../../checkpoint/checkpoint.ts';
import type { TensorToWrite } from '../../../write/safetensorsWriter.ts';
import { writePeftFiles } from '../writeAdapter.ts';
import { describedLayer, type LazyLayer, lazyTensors } from './factors.ts';

interface FolderToWrite {
  readonly out: string;
  readonly overwrite: boolean;
  readonly sources: readonly string[];
  readonly layers: readonly LazyLayer[];
  /** Beside the factors, under their full names. */
  readonly whole: readonly TensorToWrite[];
  /** What the configuration has beside what follows from the layers. */
  readonly configuration: Readonly<Record<string, unknown>>;
  /** alpha / r. */
  readonly scale?: number;
  readonly signal: AbortSignal | undefined;
  readonly progress?: (done: number, name: string) => void;
}

/** Writes an adapter for PEFT, a layer after the other, as `writePeftFiles` does. */
export function writePeftFolder(folder: FolderToWrite): Promise<number> {
  const { layers, whole, configuration, scale, ...files } = folder;
  const described = layers.map((layer) => describedLayer(layer, scale));
  return writePeftFiles({
    ...files,
    tensors: [...layers.flatMap(lazyTensors), ...whole],
    configuration: { ...peftConfig(described, configuration, false), ...configuration },
  });
}

/** What a configuration says of the base, as far as its own configuration tells. */
export function baseConfiguration({ configuration, path }: Checkpoint): Record<string, unknown> {
  const named = configuration?.architectures;
  const architecture = Array.isArray(named) && typeof named[0] === 'string' ? named[0] : '';
  return {
    base_model_name_or_path: path,
    ...(/(ForCausalLM|LMHeadModel)$/.test(architecture) ? { task_type: 'CAUSAL_LM' } : {}),
  };
}
