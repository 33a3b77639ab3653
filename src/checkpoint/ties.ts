import { elementCount } from '../base/shape.ts';
import type { FileIdentity } from '../bytes/source/fileSource.ts';
import type { TensorDescription } from './tensor.ts';

/**
 * Groups of tensors that are tied: by equal `storage` in one file, or by equal content as found by `equalContent`. Each
 * group is in the checkpoint's order, and its first name represents it; groups are disjoint.
 * @param equal groups of names with equal content, joined with those of equal storage.
 */
export function ties(
  tensors: readonly TensorDescription[],
  equal: readonly (readonly string[])[] = [],
): readonly (readonly string[])[] {
  const groupOf = new Map<string, Set<string>>();
  const join = (names: readonly string[]) => {
    const whole = new Set<string>();
    for (const name of names) for (const other of groupOf.get(name) ?? [name]) whole.add(other);
    for (const name of whole) groupOf.set(name, whole);
  };
  // Empty tensors may have the same offset without sharing anything.
  const byStorage = groupByStorage(tensors.filter(({ bytes }) => bytes > 0));
  for (const group of byStorage) if (group.length > 1) join(group.map(({ name }) => name));
  for (const names of equal) join(names);

  const order = new Map(tensors.map(({ name }, k) => [name, k]));
  return [...new Set(groupOf.values())]
    .map((group) => [...group].filter((name) => order.has(name)).sort((a, b) => order.get(a)! - order.get(b)!))
    .filter((group) => group.length > 1)
    .sort((a, b) => order.get(a[0]!)! - order.get(b[0]!)!);
}

/** The tensors with each tied group counted once, by its first. */
export function untied<Described extends TensorDescription>(
  tensors: readonly Described[],
  groups: readonly (readonly string[])[],
): readonly Described[] {
  const repeated = new Set(groups.flatMap((group) => group.slice(1)));
  return repeated.size === 0 ? tensors : tensors.filter(({ name }) => !repeated.has(name));
}

/** The number of elements, counting tied tensors once. */
export function countParameters(tensors: readonly TensorDescription[], groups: readonly (readonly string[])[]): number {
  return untied(tensors, groups)
    .flatMap((tensor): readonly TensorDescription[] => tensor.derived?.parts ?? [tensor])
    .reduce((sum, { shape }) => sum + elementCount(shape), 0);
}

/** Groups tensors that share storage, in the order of their first members. */
export function groupByStorage<Described extends TensorDescription>(tensors: readonly Described[]): Described[][] {
  const byFile = new Map<FileIdentity, Map<string, Described[]>>();
  const groups: Described[][] = [];
  for (const tensor of tensors) {
    const inFile = byFile.get(tensor.file) ?? new Map<string, Described[]>();
    byFile.set(tensor.file, inFile);
    const group = inFile.get(tensor.storage);
    if (group) {
      group.push(tensor);
      continue;
    }
    const started = [tensor];
    inFile.set(tensor.storage, started);
    groups.push(started);
  }
  return groups;
}
