import { activationsMetadata, type Origin, rName, tokensName } from '../../activations/fileFormat.ts';
import { RankscopeError } from '../../base/errors.ts';
import type { PlacedGroup } from '../../network/inputGroups.ts';
import { safetensorsHeader } from '../../write/safetensorsWriter.ts';
import { writeTarget } from '../../write/target.ts';
import type { TakeFactor } from './inputStatistics.ts';

export interface ActivationsTarget {
  readonly out: string;
  readonly overwrite: boolean;
  /** Files that are never replaced. */
  readonly sources: readonly string[];
}

/**
 * Writes a file of statistics while they are collected: `collect` gives the factor of each group in the order of
 * `groups`, and at most one is in memory. Returns the file's size.
 * @throws RankscopeError as `writeTarget` does, what `collect` throws; nothing is left of an unfinished file
 */
export async function writeActivations(
  { out, overwrite, sources }: ActivationsTarget,
  groups: readonly PlacedGroup[],
  origin: Origin,
  collect: (take: TakeFactor) => Promise<void>,
): Promise<number> {
  const factors = groups.map((group) => {
    const shape = [group.inputs, group.inputs];
    return { name: rName(group), dtype: 'F32', shape, bytes: 4 * group.inputs ** 2 };
  });
  // The tokens come last, because the factors are written before all are counted.
  const counts = groups.map((group) => ({ name: tokensName(group), dtype: 'I32', shape: [], bytes: 4 }));
  const header = safetensorsHeader([...factors, ...counts], activationsMetadata(groups, origin), out);
  const bytes = [...factors, ...counts].reduce((sum, tensor) => sum + tensor.bytes, header.length);
  await writeTarget({ out, sources, overwrite, bytes }, async (append) => {
    await append(header);
    const tokens: number[] = [];
    await collect(async (group, r, count) => {
      if (groups[tokens.length] !== group) throw new RankscopeError('engine', group.name, 'came out of turn');
      await append(new Uint8Array(r.buffer, r.byteOffset, r.byteLength));
      tokens.push(count);
    });
    await append(new Uint8Array(Int32Array.from(tokens).buffer));
  });
  return bytes;
}
