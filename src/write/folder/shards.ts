import type { TensorGroup } from '../tensorGroups.ts';

/** Groups of tensors in one file; the widest types come first, so that all are aligned. */
export interface Shard {
  readonly file: string;
  readonly groups: readonly TensorGroup[];
}

/** The name that transformers looks for where everything is in one file. */
const WHOLE = 'model.safetensors';
/** The name of the index of several. */
export const INDEX = 'model.safetensors.index.json';

/** Spreads groups over files of at most `most` bytes of content, in order; a larger group has a file of its own. */
export function shardsOf(groups: readonly TensorGroup[], most: number): Shard[] {
  const shards: TensorGroup[][] = [[]];
  let size = 0;
  for (const group of groups) {
    const bytes = bytesOf(group);
    if (size > 0 && size + bytes > most) {
      shards.push([]);
      size = 0;
    }
    shards.at(-1)!.push(group);
    size += bytes;
  }
  const digits = (number: number) => String(number).padStart(5, '0');
  return shards.map((own, k) => ({
    file: shards.length === 1 ? WHOLE : `model-${digits(k + 1)}-of-${digits(shards.length)}.safetensors`,
    groups: own.toSorted((a, b) => widthOf(b) - widthOf(a)),
  }));
}

/** Bytes of all tensors of a group. */
export function bytesOf({ tensors }: TensorGroup): number {
  return tensors.reduce((sum, { bytes }) => sum + bytes, 0);
}

/** The index of several shards, as transformers reads it; null for a single one. */
export function indexOf(shards: readonly Shard[]): string | null {
  if (shards.length === 1) return null;
  const entries = shards.flatMap(({ file, groups }) =>
    groups.flatMap(({ tensors }) => tensors.map(({ name }) => [name, file] as const)),
  );
  const total = shards.flatMap(({ groups }) => groups).reduce((sum, group) => sum + bytesOf(group), 0);
  const map = entries
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, file]) => `    ${JSON.stringify(name)}: ${JSON.stringify(file)}`);
  return `{\n  "metadata": {\n    "total_size": ${total}\n  },\n  "weight_map": {\n${map.join(',\n')}\n  }\n}\n`;
}

/** Bytes of an element of the group's widest type. */
function widthOf({ tensors }: TensorGroup): number {
  return Math.max(...tensors.map(({ dtype }) => (dtype === 'BOOL' ? 1 : Number(/\d+/.exec(dtype)?.[0] ?? 8) / 8)));
}
