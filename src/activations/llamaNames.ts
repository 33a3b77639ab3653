import { MAX_EXPERTS } from '../bytes/limits.ts';
import {
  type GgufArchitecture,
  ggufArchitecture,
  ggufArchitectures,
  variantFor,
} from '../model/names/ggufArchitectures.ts';
import { ggufName, huggingFaceName } from '../model/names/ggufNames.ts';
import type { StatisticsEntry } from './statistics.ts';

/** An entry, or a slice of one. */
export interface Slice {
  readonly entry: StatisticsEntry;
  readonly slice: number;
}

/**
 * Turns names of a GGUF file's matrices into those in Hugging Face's code; undefined for unknown ones. The order of
 * rows, which differs as well, does not matter to inputs. Unknown architectures are assumed to be built like LLaMA.
 */
export function huggingFaceNames(
  metadata: ReadonlyMap<string, string>,
  matrices: readonly { readonly name: string }[],
): (name: string) => string | undefined {
  const known = ggufArchitecture(metadata.get('general.architecture')) ?? ggufArchitecture('llama')!;
  const architecture = variantFor(
    known,
    matrices.map(({ name }) => name),
  );
  return (name) => {
    const parts = ggufName(name);
    return parts && huggingFaceName(architecture, parts);
  };
}

/**
 * Entries with llama.cpp's names by the names in Hugging Face's code. The files do not name the architecture: of those
 * known, the one is taken under which most names are in `wanted`.
 */
export function byHuggingFaceNames(
  entries: readonly StatisticsEntry[],
  isWanted: (name: string) => boolean,
): Map<string, Slice> {
  const names = entries.map(({ name }) => name);
  let best = new Map<string, Slice>();
  let most = -1;
  for (const architecture of ggufArchitectures()) {
    const found = namesIn(variantFor(architecture, names), entries, isWanted);
    const hits = [...found.keys()].filter(isWanted).length;
    if (hits > most) [best, most] = [found, hits];
  }
  return best;
}

/** Parts that the architecture's table lacks have no name there, and are left out. */
function namesIn(
  architecture: GgufArchitecture,
  entries: readonly StatisticsEntry[],
  isWanted: (name: string) => boolean,
): Map<string, Slice> {
  const found = new Map<string, Slice>();
  for (const entry of entries) {
    const parts = ggufName(entry.name);
    const nameOf = (slice: number | null) => parts && huggingFaceName(architecture, { ...parts, slice });
    const [whole, first] = [nameOf(null), nameOf(0)];
    if (whole !== undefined) found.set(whole, { entry, slice: 0 });
    if (first === undefined) continue;
    found.set(first, { entry, slice: 0 });
    for (let slice = 1; slice < MAX_EXPERTS && isWanted(nameOf(slice)!); slice++)
      found.set(nameOf(slice)!, { entry, slice });
  }
  return found;
}
