import { RankscopeError } from '../../base/errors.ts';
import type { Backend } from '../../devices/backend.ts';
import type { InputObserver } from '../../network/forward.ts';
import type { PlacedGroup } from '../../network/inputGroups.ts';
import { allFinite } from '../../network/operations/allFinite.ts';
import type { Rows } from '../../network/operations/rows.ts';
import { GrowingTriangle } from '../../spectrum/stackedTriangle.ts';

/** Entries of rows that wait for their panels to fill, over all groups: half a gigabyte. */
const MOST_WAITING = 2 ** 27;

/** Receives R of a group (n x n, row-major) and the tokens that reached it, in the order of the groups. */
export type TakeFactor = (group: PlacedGroup, r: Float32Array, tokens: number) => Promise<void>;

/**
 * Gathers the R factor of the inputs of each group while a text passes through the network. Memory: the factors of one
 * block, and the rows that wait.
 */
export class InputStatistics implements InputObserver {
  private readonly groups: ReadonlyMap<string, PlacedGroup>;
  private readonly triangles = new Map<string, GrowingTriangle>();

  constructor(
    private readonly backend: Backend,
    groups: readonly PlacedGroup[],
    private readonly take: TakeFactor,
    private readonly signal: AbortSignal | undefined,
    private readonly mostWaiting = MOST_WAITING,
  ) {
    this.groups = new Map(groups.map((group) => [group.name, group]));
  }

  /** @throws RankscopeError 'not-finite' with the layer */
  readonly inputs = async (x: Rows, [first]: readonly { readonly name: string }[]): Promise<void> => {
    const group = this.groups.get(first!.name);
    // Projections around the blocks belong to no group.
    if (!group) return;
    const rows = x.values.subarray(0, x.rows * x.cols);
    if (!allFinite(rows)) throw notFinite(group.name, 'an input is NaN or infinite');
    const triangle = this.triangles.get(group.name) ?? new GrowingTriangle(this.backend, x.cols);
    this.triangles.set(group.name, triangle);
    await triangle.add(rows, { signal: this.signal });
    await this.bound();
  };

  readonly passed = async (layer: number | null): Promise<void> => {
    for (const group of this.groups.values()) {
      if (group.layer !== layer) continue;
      const triangle = this.triangles.get(group.name);
      this.triangles.delete(group.name);
      const r = (await triangle?.finish({ signal: this.signal })) ?? new Float32Array(group.inputs ** 2);
      if (!allFinite(r)) throw notFinite(group.name, 'its inputs are too large for f32');
      await this.take(group, r, triangle?.rows ?? 0);
    }
  };

  /** Takes in the rows of the groups with most of them until few enough wait. */
  private async bound(): Promise<void> {
    const triangles = [...this.triangles.values()];
    let waiting = triangles.reduce((sum, triangle) => sum + triangle.waiting, 0);
    for (const triangle of triangles.sort((a, b) => b.waiting - a.waiting)) {
      if (waiting <= this.mostWaiting) return;
      waiting -= triangle.waiting;
      await triangle.settle({ signal: this.signal });
    }
  }
}

function notFinite(name: string, found: string): RankscopeError {
  return new RankscopeError('not-finite', name, found, 'The weights are damaged or too large for f32');
}
