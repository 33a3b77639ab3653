import type { TensorInfo } from '../formats/checkpoint.ts';

/** What an adapter adds to one matrix: scale B A, held as its thin factors. */
export interface AdapterUpdate {
  /** The adapted layer. */
  readonly target: string;
  /** B, m x r. */
  readonly up: TensorInfo;
  /** A, r x n; of a convolution r x n x h x w. */
  readonly down: TensorInfo;
  readonly rank: number;
  readonly scale: number;
  /** DoRA: the adapted matrix is scaled to learned magnitudes afterwards, which the update alone does not show. */
  readonly dora: boolean;
}

/** Why the update of an adapter stays as it is. */
export const ADAPTER_FIXED = 'the update of an adapter, held as its two factors already';

interface UpdateTensor extends TensorInfo {
  readonly update: AdapterUpdate;
}

/** The update that a directory entry of `withUpdates` stands for; undefined for a tensor of the file. */
export function updateOf(tensor: TensorInfo): AdapterUpdate | undefined {
  return (tensor as Partial<UpdateTensor>).update;
}

/**
 * The directory with one entry [out, in], named after the layer, in place of the two factors of each update. No reader can read such an
 * entry: who asks for its values asks `updateOf` for its factors.
 */
export function withUpdates(tensors: readonly TensorInfo[], updates: readonly AdapterUpdate[]): readonly TensorInfo[] {
  if (updates.length === 0) return tensors;
  const taken = new Set(tensors.map(({ name }) => name));
  const byFactor = new Map<TensorInfo, UpdateTensor>();
  for (const update of updates) {
    const entry = entryOf(update, taken.has(update.target) ? `${update.target} (adapter)` : update.target);
    byFactor.set(update.up, entry).set(update.down, entry);
  }
  // Set among the others where its first factor stands.
  return [...new Set(tensors.map((tensor) => byFactor.get(tensor) ?? tensor))];
}

function entryOf(update: AdapterUpdate, name: string): UpdateTensor {
  const { up, down, scale } = update;
  return {
    name,
    shape: [up.shape[0]!, down.shape.slice(1).reduce((product, size) => product * size, 1)],
    dtype: up.dtype,
    bytes: up.bytes + down.bytes,
    storage: `update ${scale} ${up.storage} ${down.storage}`,
    // B A maps inputs to outputs, however the base stores its matrix.
    transposed: false,
    file: up.file,
    update,
  };
}
