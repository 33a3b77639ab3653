import { samplingOrder } from '../../src/model/experts.ts';
import { groupAt } from '../charts/layout.ts';
import type { Model } from './state.ts';

/**
 * The matrices that the cells on the screen need first, those without an exact value: the matrices themselves, one
 * expert of each group that has no exact one yet, and all experts of the selected group, which are shown one by one.
 */
export function wantedOf(model: Model, cells: readonly number[], selected: string | null): string[] {
  const { layout, findings, skipped } = model;
  const lacks = (index: number) => {
    const { name } = layout.matrices[index]!;
    return findings.get(name)?.provenance !== 'exact' && !skipped.has(name);
  };
  const chosen = layout.indexOf.get(selected ?? '') ?? -1;
  const open = groupAt(layout, chosen) ?? groupAt(layout, layout.groupOf[chosen] ?? -1);
  const wanted: number[] = [];
  for (const cell of cells) {
    const group = groupAt(layout, cell);
    if (!group) wanted.push(cell);
    else if (group !== open) {
      const inTurn = samplingOrder(group.members, group.layer);
      if (inTurn.every(lacks)) wanted.push(inTurn[0]!);
    }
  }
  if (open) wanted.push(...samplingOrder(open.members, open.layer));
  return wanted.filter(lacks).map((index) => layout.matrices[index]!.name);
}
