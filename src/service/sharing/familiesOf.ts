import type { Share } from '../../model/plan/plan.ts';
import { possibleGroups, type SharingFamily } from '../../model/sharing/possibleGroups.ts';
import type { StoredMatrix } from '../../model/storedMatrix.ts';
import { factorType } from '../../write/encode.ts';

/** The families in which these matrices may share, without spectra. */
export function familiesOf(matrices: readonly StoredMatrix[], share: Share): SharingFamily[] {
  return possibleGroups(
    // Those that share a factor share its type.
    matrices.map(({ name, stack, layer, module, role, expert, shape, dtype, transposed }) => ({
      name,
      ...(stack === undefined ? {} : { stack }),
      layer,
      module,
      role,
      expert,
      shape,
      transposed,
      dtype: factorType(dtype),
    })),
    share,
  );
}
