import { MAX_HDF5_GROUP_DEPTH, MAX_TENSORS } from '../../../bytes/limits.ts';
import type { Hdf5File } from '../file/hdf5File.ts';
import { type Message, readMessages } from '../objects/objectHeader.ts';
import { linksOf } from './links.ts';

export interface FoundObject {
  /** The path from the root, without a leading slash. */
  readonly path: string;
  readonly messages: readonly Message[];
  readonly isGroup: boolean;
}

/**
 * Visits the root and every object below it. Returns the number of soft and external links, which are not followed
 * because they lead to names or to other files. Each object is visited once, so that groups which link in a circle do
 * not loop forever.
 */
export async function walk(
  file: Hdf5File,
  root: number,
  visit: (object: FoundObject) => Promise<void>,
): Promise<{ notFollowed: number }> {
  const visited = new Set<number>();
  const waiting: { address: number; path: string; depth: number }[] = [{ address: root, path: '', depth: 0 }];
  let notFollowed = 0;
  for (let next = waiting.pop(); next; next = waiting.pop()) {
    const { address, path, depth } = next;
    if (visited.has(address)) continue;
    visited.add(address);
    if (depth > MAX_HDF5_GROUP_DEPTH) throw file.malformed(`groups are nested deeper than ${MAX_HDF5_GROUP_DEPTH}`);
    if (visited.size > MAX_TENSORS) throw file.malformed(`it holds more than ${MAX_TENSORS} objects`);
    const messages = await readMessages(file, address);
    const links = await linksOf(file, messages);
    await visit({ path, messages, isGroup: links !== undefined });
    // Reversed, because the last link pushed is visited first.
    for (const { name, address: child } of links?.toReversed() ?? []) {
      if (child === undefined) notFollowed++;
      else waiting.push({ address: child, path: path ? `${path}/${name}` : name, depth: depth + 1 });
    }
  }
  return { notFollowed };
}
