import type { Layout } from '../charts/layout.ts';

/**
 * The cells of a table's rows: those whose names hold every word of `filter`. The experts of a group are one row,
 * except for those of the module `opened`, and where the filter picks only some of them.
 */
export function rowsOf(layout: Layout, filter: string, opened: string | null): readonly number[] {
  const { matrices, groups, cells } = layout;
  const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
  const matches = (index: number) => {
    const name = matrices[index]!.name.toLowerCase();
    return words.every((word) => name.includes(word));
  };
  return cells.flatMap((cell) => {
    const group = groups[cell - matrices.length];
    if (!group) return matches(cell) ? [cell] : [];
    const matching = words.length === 0 ? group.members : group.members.filter(matches);
    return group.module !== opened && matching.length === group.members.length ? [cell] : matching;
  });
}
