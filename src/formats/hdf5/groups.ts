import { MAX_TENSORS } from '../limits.ts';
import type { Hdf5File } from './bytes.ts';
import { linksOf } from './links.ts';
import { type Message, readMessages } from './objectHeader.ts';

export interface FoundObject {
  /** The path from the root, without a leading slash. */
  readonly path: string;
  readonly messages: readonly Message[];
  readonly isGroup: boolean;
}

/** Groups inside groups; Keras nests one or two per layer. */
const MAX_GROUP_DEPTH = 64;

/**
 * Visits the root and every object below it, and gives the number of links that are not followed: soft and external links lead to names or
 * to other files. An object is visited once, so that groups linked in a circle end.
 */
export async function walk(
  file: Hdf5File,
  root: number,
  visit: (object: FoundObject) => Promise<void>,
): Promise<{ notFollowed: number }> {
  const visited = new Set<number>();
  let notFollowed = 0;
  const descend = async (address: number, path: string, depth: number): Promise<void> => {
    if (visited.has(address)) return;
    visited.add(address);
    if (depth > MAX_GROUP_DEPTH) throw file.malformed(`groups are nested deeper than ${MAX_GROUP_DEPTH}`);
    if (visited.size > MAX_TENSORS) throw file.malformed(`it holds more than ${MAX_TENSORS} objects`);
    const messages = await readMessages(file, address);
    const links = await linksOf(file, messages);
    await visit({ path, messages, isGroup: links !== undefined });
    for (const { name, address: child } of links ?? []) {
      if (child === undefined) notFollowed++;
      else await descend(child, path ? `${path}/${name}` : name, depth + 1);
    }
  };
  await descend(root, '', 0);
  return { notFollowed };
}
