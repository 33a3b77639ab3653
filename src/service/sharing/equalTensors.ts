import { elementCount } from '../../base/shape.ts';
import { groupByStorage } from '../../checkpoint/ties.ts';
import type { EqualTensors, TiedByConfiguration } from '../../model/sharing/sharing.ts';
import type { Opened } from '../checkpoints/opened.ts';
import { tiedHead } from '../plan/tiedHead.ts';

/** Groups of tensors with equal values, and what tying them would save; the largest saving first. */
export async function equalTensors(opened: Opened, signal: AbortSignal | undefined): Promise<EqualTensors[]> {
  const groups = await opened.tiesByContent(signal);
  const byName = new Map(opened.checkpoint.tensors.map((tensor) => [tensor.name, tensor]));
  const roles = new Map(opened.anatomy.matrices.map(({ tensorName, role }) => [tensorName, role]));
  const found = groups.map((names): EqualTensors => {
    const tensors = names.map((name) => byName.get(name)!);
    const copies = groupByStorage(tensors).length;
    const { shape, dtype, bytes } = tensors[0]!;
    return {
      names,
      roles: [...new Set(names.flatMap((name) => roles.get(name) ?? []))],
      shape,
      dtype,
      copies,
      savedParameters: (copies - 1) * elementCount(shape),
      savedBytes: (copies - 1) * bytes,
    };
  });
  return found.sort((a, b) => b.savedBytes - a.savedBytes);
}

/** The head that the file lacks because the configuration ties it to the embedding. */
export function tiedByConfiguration(opened: Opened): TiedByConfiguration | null {
  const found = tiedHead(opened);
  const matrix = found && opened.anatomy.matrices.find(({ tensorName }) => tensorName === found.embedding);
  if (!found || !matrix) return null;
  return { ...found, shape: matrix.shape, parameters: matrix.shape[0] * matrix.shape[1] };
}
