import { elementCount } from '../base/shape.ts';
import type { TensorInfo } from '../checkpoint/checkpoint.ts';

/**
 * Groups of tensors that are one and the same: equal `storage`, or equal by content as found by whoever read the values. Each group
 * is in the checkpoint's order and its first name stands for all; groups are disjoint.
 * @param equal groups of names with equal content, joined with those of equal storage.
 */
export function ties(tensors: readonly TensorInfo[], equal: readonly (readonly string[])[] = []): string[][] {
  const groupOf = new Map<string, Set<string>>();
  const join = (names: readonly string[]) => {
    const whole = new Set<string>();
    for (const name of names) for (const other of groupOf.get(name) ?? [name]) whole.add(other);
    for (const name of whole) groupOf.set(name, whole);
  };
  const byStorage = new Map<string, string[]>();
  for (const { name, storage, bytes } of tensors) {
    // Empty tensors lie at one offset without sharing anything.
    if (bytes === 0) continue;
    const names = byStorage.get(storage);
    if (names) names.push(name);
    else byStorage.set(storage, [name]);
  }
  for (const names of byStorage.values()) if (names.length > 1) join(names);
  for (const names of equal) join(names);

  const order = new Map(tensors.map(({ name }, k) => [name, k]));
  return [...new Set(groupOf.values())]
    .map((group) => [...group].filter((name) => order.has(name)).sort((a, b) => order.get(a)! - order.get(b)!))
    .filter((group) => group.length > 1)
    .sort((a, b) => order.get(a[0]!)! - order.get(b[0]!)!);
}

/** The tensors with each tied group counted once, by its first. */
export function untied(tensors: readonly TensorInfo[], groups: readonly (readonly string[])[]): readonly TensorInfo[] {
  const repeated = new Set(groups.flatMap((group) => group.slice(1)));
  return repeated.size === 0 ? tensors : tensors.filter(({ name }) => !repeated.has(name));
}

/** Elements in all, tied tensors once. */
export function countParameters(tensors: readonly TensorInfo[], groups: readonly (readonly string[])[]): number {
  return untied(tensors, groups).reduce((sum, { shape }) => sum + elementCount(shape), 0);
}
