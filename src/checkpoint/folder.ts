import { readdir, realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { RankscopeError } from '../base/errors.ts';
import { MAX_FOLDER_ENTRIES, MAX_LISTED_FOLDERS } from '../bytes/limits.ts';
import { attempt } from '../bytes/source/fileSource.ts';
import type { Format } from '../formats/format.ts';
import { configurationBeside, type ReadingContext } from './configuration.ts';
import { refuseFolders } from './refusals.ts';
import { firstPart } from './shards/parallelParts.ts';
import { firstOfSet } from './shards/shardSet.ts';

/** The file of a diffusers pipeline that names its models, each in a folder of its own. */
const PIPELINE = 'model_index.json';
/** Statistics of a model's activations, which are often kept beside it, and are no checkpoint. */
const STATISTICS = '.activations.safetensors';

/**
 * The path of the file to open for `folder`: an index rather than a single file.
 * @throws RankscopeError 'not-a-checkpoint' with what could be opened instead, if there is not exactly one checkpoint.
 */
export async function checkpointIn(
  folder: string,
  formats: readonly Format[],
  context: ReadingContext,
): Promise<string> {
  const entries = await entriesOf(folder);
  const names = entries.files;
  const entry = names.includes(PIPELINE) ? undefined : entryAmong(names, formats);
  if (entry !== undefined) return join(folder, entry);
  refuseFolders(folder, [...names, ...entries.folders]);
  const files = names.filter((name) => formats.some((format) => hasExtension(name, format.extensions)));
  const parts = names.includes(PIPELINE) || files.length === 0 ? await checkpointFolders(folder, entries, formats) : [];
  const choices = [...parts, ...files];
  if (files.length === 1 && parts.length === 0) return join(folder, files[0]!);
  throw new RankscopeError(
    'not-a-checkpoint',
    await realpath(folder),
    await described(folder, names, files, parts, context),
    choices.length === 0
      ? 'Name the file to open'
      : `Open one of them: ${listed(choices.map((name) => join(folder, name)))}`,
    { choices: choices.map((name) => join(folder, name)) },
  );
}

async function described(
  folder: string,
  names: readonly string[],
  files: readonly string[],
  parts: readonly string[],
  context: ReadingContext,
): Promise<string> {
  if (names.includes(PIPELINE)) {
    const kind = (await configurationBeside(folder, PIPELINE, context))?._class_name;
    const called = typeof kind === 'string' ? ` (${kind.slice(0, 100)})` : '';
    return `this is a diffusers pipeline${called} of ${parts.length} models (${listed(parts)}), not a single checkpoint`;
  }
  if (files.length > 0) return `this folder holds ${files.length} checkpoints (${listed(files)}) and no index`;
  if (parts.length > 0) return `the checkpoints are in ${parts.length} folders inside this one (${listed(parts)})`;
  return 'no checkpoint was found in this folder';
}

function entryAmong(names: readonly string[], formats: readonly Format[]): string | undefined {
  for (const format of formats) {
    const name = format.entryOf?.(names);
    if (name !== undefined) return name;
  }
  return firstOfSet(names) ?? firstPart(names);
}

interface Entries {
  readonly files: readonly string[];
  readonly folders: readonly string[];
}

async function entriesOf(folder: string): Promise<Entries> {
  const all = (await attempt(folder, () => readdir(folder, { withFileTypes: true }))).slice(0, MAX_FOLDER_ENTRIES);
  // macOS writes a `._name` beside each file that it copies to a foreign disk.
  const shown = all
    .filter(({ name }) => !name.startsWith('._') && !name.endsWith(STATISTICS))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
  return {
    files: shown.filter((entry) => !entry.isDirectory()).map(({ name }) => name),
    folders: shown.filter((entry) => entry.isDirectory() && !entry.name.startsWith('.')).map(({ name }) => name),
  };
}

/** The folders directly inside `folder` that hold a checkpoint. */
async function checkpointFolders(folder: string, { folders }: Entries, formats: readonly Format[]): Promise<string[]> {
  const found: string[] = [];
  for (const name of folders.slice(0, MAX_LISTED_FOLDERS)) {
    const { files } = await entriesOf(join(folder, name)).catch(() => ({ files: [] }));
    const holds =
      entryAmong(files, formats) !== undefined ||
      files.some((file) => formats.some((format) => hasExtension(file, format.extensions)));
    if (holds) found.push(name);
  }
  return found;
}

function hasExtension(name: string, extensions: readonly string[]): boolean {
  return extensions.some((extension) => name.toLowerCase().endsWith(extension));
}

/** The first of these names. */
function listed(names: readonly string[]): string {
  return names.slice(0, 6).join(', ') + (names.length > 6 ? ' ...' : '');
}
