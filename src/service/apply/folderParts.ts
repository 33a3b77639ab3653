import { readdir, readFile, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { RankscopeError } from '../../base/errors.ts';
import type { Checkpoint } from '../../checkpoint/checkpoint.ts';
import { attempt } from '../../files/wholeFile.ts';
import { carriedFiles } from '../../write/folder/carriedFiles.ts';
import { changedConfiguration, plannedRanks } from '../../write/folder/configuration.ts';
import { MODELING, modelingFile } from '../../write/folder/modelingFile.ts';
import type { Chosen } from '../../write/metadata.ts';

/** The small files of a folder. */
export interface FolderParts {
  /** Their texts, by name. */
  readonly texts: ReadonlyMap<string, string>;
  /** The folder from which files are carried over, with their names, and those of files that are not. */
  readonly from: string;
  readonly carried: readonly string[];
  readonly left: readonly string[];
}

interface PartsRequest {
  readonly checkpoint: Checkpoint;
  readonly chosen: readonly Chosen[];
  readonly factors: 2 | 3;
  readonly isDense: boolean;
  /** The type in which most of the weights are written, as torch names it. */
  readonly type: string;
}

/** Bytes of a configuration. */
const MOST_BYTES = 2 << 20;
const CONFIGURATION = 'config.json';

/**
 * What lies beside the weights in a result: the configuration with the ranks, the code that reads them, and what is
 * carried over from the folder of the source.
 * @throws RankscopeError 'wrong-use' for factors without a configuration, with which no library can open them;
 *   'unsupported' where it does not name the class of the model, 'malformed'
 */
export async function folderParts({ checkpoint, chosen, factors, isDense, type }: PartsRequest): Promise<FolderParts> {
  const from = dirname(checkpoint.files[0]!.path);
  const path = join(from, CONFIGURATION);
  const names = await filesIn(from);
  const weights = new Set(checkpoint.files.map((file) => basename(file.path)));
  if (!names.includes(CONFIGURATION)) {
    if (!isDense)
      throw new RankscopeError(
        'wrong-use',
        from,
        'there is no config.json beside the weights, without which transformers cannot open a folder',
        'Put it there, or write a single file with --out NAME.safetensors',
      );
    return { texts: new Map(), from, ...carriedFiles(names, weights, false) };
  }
  const { size } = await attempt(path, () => stat(path));
  if (size > MOST_BYTES) throw new RankscopeError('too-large', path, `it has ${size} bytes`, 'Give a configuration');
  const source = await attempt(path, () => readFile(path, 'utf8'));
  const configuration = objectIn(source, path);
  const typed = {
    ...('dtype' in configuration ? { dtype: type } : { torch_dtype: type }),
    quantization_config: undefined,
  };
  const hasOwnCode = configuration.auto_map !== undefined;
  if (isDense) {
    const texts = new Map([[CONFIGURATION, changedConfiguration({ source, path, changes: typed })]]);
    return { texts, from, ...carriedFiles(names, weights, hasOwnCode) };
  }
  const { text, architectures, autoMap, hasCode } = modelingFile({ path, configuration, factors });
  const changes = { ...typed, architectures, auto_map: autoMap, rankscope: plannedRanks(chosen, factors) };
  const texts = new Map([
    [CONFIGURATION, changedConfiguration({ source, path, changes })],
    [MODELING, text],
  ]);
  return {
    texts,
    from,
    ...carriedFiles(
      names.filter((name) => !texts.has(name)),
      weights,
      hasCode || hasOwnCode,
    ),
  };
}

function objectIn(text: string, path: string): Readonly<Record<string, unknown>> {
  try {
    const value = JSON.parse(text) as unknown;
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  } catch {
    // Told below.
  }
  throw new RankscopeError('malformed', path, 'it holds no JSON object', 'Repair it');
}

/** The names of the files in a folder; of links to files as well. */
async function filesIn(folder: string): Promise<string[]> {
  const entries = await attempt(folder, () => readdir(folder, { withFileTypes: true }));
  return entries.filter((entry) => !entry.isDirectory() && !entry.name.startsWith('.')).map(({ name }) => name);
}
