import type { Linear } from '../operations/linear.ts';
import type { Rows } from '../operations/rows.ts';
import type { Run } from '../operations/run.ts';
import { InputMoments } from './inputMoments.ts';
import type { SteppedPass } from './steppedPass.ts';

/** Layers that read the same inputs, with what these are in the dense and in the compressed network. */
export interface GroupInputs {
  /** Those that are to be replaced, dense, in device memory. */
  readonly layers: readonly Linear[];
  readonly moments: InputMoments;
  /** Some of the tokens: of the last batch that has any. */
  readonly sample: { readonly dense: Rows; readonly compressed: Rows } | undefined;
}

/** What came of all batches. */
export interface Passed<Result> {
  readonly dense: readonly Result[];
  readonly compressed: readonly Result[];
}

/** Two passes of the same tokens. */
export interface Pair<Result> {
  readonly dense: SteppedPass<Result>;
  readonly compressed: SteppedPass<Result>;
}

export interface SteppedGroups {
  /** The layers that may be in a group. */
  readonly layers: readonly Linear[];
  readonly isCut: (name: string) => boolean;
  /** Puts something in place of the layers of a group, before any pass goes on behind it. */
  readonly replace: (group: GroupInputs) => Promise<void>;
}

/** The share of device memory in which passes may wait. */
const WAITING = 0.25;

/** Moves all passes from group to group until nothing more is to be replaced, and then to their ends. */
export async function stepTogether<Result>(
  run: Run,
  pairs: readonly Pair<Result>[],
  { layers, isCut, replace }: SteppedGroups,
): Promise<Passed<Result>> {
  const byName = new Map(layers.map((layer) => [layer.name, layer]));
  let left = layers.filter(({ name }) => isCut(name)).length;
  try {
    while (left > 0) {
      const found: { -readonly [Key in keyof GroupInputs]?: GroupInputs[Key] } = {};
      let waiting = 0;
      for (const { dense, compressed } of pairs) {
        const [one, other] = [await dense.next(), await compressed.next()];
        found.layers = one!.layers.filter(isCut).map((name) => byName.get(name)!);
        if (found.layers.length > 0) {
          found.moments ??= new InputMoments(one!.inputs.cols);
          await found.moments.add(run, one!.inputs, other!.inputs);
          found.sample = { dense: one!.inputs, compressed: other!.inputs };
        }
        waiting += 2 * heldWhileWaiting(one!.inputs);
        if (waiting > WAITING * run.backend.capacity) await Promise.all([dense.stop(), compressed.stop()]);
      }
      if (found.moments) await replace(found as GroupInputs);
      left -= found.layers!.length;
    }
    const [dense, compressed]: [Result[], Result[]] = [[], []];
    for (const pair of pairs) {
      dense.push(await pair.dense.result());
      compressed.push(await pair.compressed.result());
    }
    return { dense, compressed };
  } finally {
    for (const { dense, compressed } of pairs) await Promise.all([dense.stop(), compressed.stop()]);
  }
}

/** Bytes of what a pass keeps on the device before a group: its inputs, the residual stream, and a copy of that. */
const heldWhileWaiting = ({ rows, cols }: Rows) => 3 * 4 * rows * cols;
