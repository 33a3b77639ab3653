import { dirname, join } from 'node:path';
import { Allowance } from '../../bytes/allowance.ts';
import type { JsonObject } from '../../bytes/boundedJson.ts';
import { MAX_CONFIGURATION_MEMORY } from '../../bytes/limits.ts';
import type { Checkpoint } from '../../checkpoint/checkpoint.ts';
import { configurationBeside } from '../../checkpoint/configuration.ts';
import type { AdapterNaming } from '../names.ts';
import type { AdapterConfiguration, AdapterConfigurations } from './adapterConfiguration.ts';
import { diffusersMetadata, ggufMetadata, ggufRemarks, kohyaMetadata } from './inFile.ts';
import { mlxConfiguration, mlxRemarks } from './mlx.ts';
import { adapterHubConfiguration, peftConfiguration, peftRemarks } from './peft.ts';

/** The libraries that write a file of this name; beside the files of others it belongs to another file. */
const NAMINGS_WITH_FILE: ReadonlySet<AdapterNaming> = new Set(['peft', 'torchtune', 'adapterhub', 'mlx-lm', 'mlx-vlm']);
const FILE = 'adapter_config.json';

/**
 * The configuration in the file itself (diffusers' `lora_adapter_metadata`, kohya's `ss_network_alpha`, llama.cpp's
 * `adapter.lora.alpha`), and an adapter_config.json beside the file or, for one of several adapters, in the folder of
 * its name.
 */
export async function adapterConfigurations(
  checkpoint: Checkpoint,
  { adapter, naming }: { readonly adapter?: string | undefined; readonly naming: AdapterNaming },
  signal?: AbortSignal,
): Promise<AdapterConfigurations> {
  const { metadata } = checkpoint;
  const folder = dirname(checkpoint.files[0]!.path);
  // A name from the file must not lead out of the folder.
  const own = adapter !== undefined && /^[\w-]+$/.test(adapter) ? [join(folder, adapter)] : [];
  const allowance = new Allowance(checkpoint.path, MAX_CONFIGURATION_MEMORY);
  let beside: JsonObject | undefined;
  for (const place of NAMINGS_WITH_FILE.has(naming) ? [...own, folder] : [])
    beside ??= await configurationBeside(place, FILE, { allowance, signal });
  const inFile = diffusersMetadata(metadata, allowance);
  const all = [
    ...inFile.flatMap(([prefix, json]) => peftConfiguration(json, 'lora_adapter_metadata', prefix)),
    ...(beside ? besideFile(beside, naming) : []),
    ...(naming === 'peft' ? [] : kohyaMetadata(metadata, allowance)),
    ...(naming === 'gguf' ? ggufMetadata(metadata) : []),
  ];
  const named = [beside, ...inFile.map(([, json]) => json)].map((json) => json?.base_model_name_or_path ?? json?.model);
  const inMetadata = ['ss_sd_model_name', 'ss_base_model_version', 'general.base_model.0.name'];
  const baseModel = [...named, ...inMetadata.map((key) => metadata.get(key))].find(
    (name): name is string => typeof name === 'string' && name !== '' && name !== 'None',
  );
  const method = typeof beside?.peft_type === 'string' ? beside.peft_type : undefined;
  return { all, baseModel, method, remarks: remarksOf(beside, checkpoint, naming, all) };
}

function besideFile(json: JsonObject, naming: AdapterNaming): AdapterConfiguration[] {
  const isMlx = naming === 'mlx-lm' || naming === 'mlx-vlm';
  if (naming === 'adapterhub') return adapterHubConfiguration(json, FILE);
  return isMlx ? mlxConfiguration(json, FILE, naming === 'mlx-vlm') : peftConfiguration(json, FILE, '');
}

function remarksOf(
  beside: JsonObject | undefined,
  { metadata, tensors }: Checkpoint,
  naming: AdapterNaming,
  all: readonly AdapterConfiguration[],
): string[] {
  const remarks = naming === 'mlx-lm' ? mlxRemarks(beside ?? {}, FILE) : peftRemarks(beside ?? {});
  const said = [...remarks, ...(naming === 'gguf' ? ggufRemarks(metadata) : [])];
  // Files of diffusers have PEFT's names and no configuration; their alpha is the rank.
  const needsOne = naming !== 'peft' || tensors.some(({ name }) => name.startsWith('base_model.model.'));
  if (all.length === 0 && needsOne && (NAMINGS_WITH_FILE.has(naming) || naming === 'nemo'))
    said.push(
      naming === 'nemo'
        ? 'the alpha of a NeMo adapter stands in the configuration of its model: all scales are taken as 1'
        : `no ${FILE} with the scale was found beside the file: all scales are taken as 1`,
    );
  return said;
}
