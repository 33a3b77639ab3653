import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { peftConfig } from '../../../adapters/writing/peft.ts';
import type { Checkpoint } from '../../../checkpoint/checkpoint.ts';
import { attempt, writeWhole } from '../../../files/wholeFile.ts';
import { type TensorToWrite, writeSafetensors } from '../../../write/safetensorsWriter.ts';
import { checkFolder } from '../writeAdapter.ts';
import { described, type LazyLayer, lazyTensors } from './factors.ts';

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

/**
 * Writes an adapter for PEFT, a layer after the other; returns the size of its weights. The configuration comes last:
 * without it, an interrupted folder is not taken for an adapter.
 * @throws RankscopeError as `writeSafetensors` does
 */
export async function writePeftFolder(folder: FolderToWrite): Promise<number> {
  const { out, overwrite, sources, layers, whole, configuration, scale, signal, progress } = folder;
  await checkFolder(out, overwrite, sources);
  await attempt(out, () => mkdir(out, { recursive: true }));
  const bytes = await writeSafetensors({
    ...{ out: join(out, 'adapter_model.safetensors'), overwrite, sources, signal, progress },
    tensors: [...layers.flatMap(lazyTensors), ...whole],
    metadata: new Map([['format', 'pt']]),
  });
  const config = {
    ...peftConfig(
      layers.map((layer) => described(layer, scale)),
      configuration,
      false,
    ),
    ...configuration,
  };
  const text = `${JSON.stringify(config, null, 2)}\n`;
  await writeWhole(join(out, 'adapter_config.json'), { overwrite }, (append) => append(text));
  return bytes;
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
