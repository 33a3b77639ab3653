import type { StoredUpdate } from '../adapters/parts.ts';
import type { TensorInfo } from '../checkpoint/checkpoint.ts';

/** What an adapter adds to one matrix: scale times a product that is held as its factors. */
export interface AdapterUpdate {
  /** The adapted layer. */
  readonly target: string;
  /** Of several adapters in one file, which one. */
  readonly adapter?: string;
  readonly stored: StoredUpdate;
  /** The tensors that it is stored in. */
  readonly tensors: readonly TensorInfo[];
  /** [m, n], as the adapted weight has them. */
  readonly shape: readonly [number, number];
  /** The rank that the product cannot be above, as its factors are. */
  readonly rank: number;
  readonly scale: number;
  /** DoRA: the adapted matrix is scaled to learned magnitudes afterwards, which the update alone does not show. */
  readonly dora: boolean;
}

/** Tensors of an adapter that make no update, and why. */
export interface RefusedUpdate {
  readonly target: string;
  readonly tensors: readonly TensorInfo[];
  readonly reason: string;
}

/** Why the update of an adapter stays as it is. */
export const ADAPTER_FIXED = 'the update of an adapter, held as its factors already';

interface AdapterTensor extends TensorInfo {
  readonly update?: AdapterUpdate;
  readonly refusal?: string;
}

/** The update that a directory entry of `withUpdates` stands for; undefined for a tensor of the file. */
export function updateOf(tensor: TensorInfo): AdapterUpdate | undefined {
  return (tensor as AdapterTensor).update;
}

/** Why a part of an adapter cannot be shown; undefined for all other tensors. */
export function refusalOf(tensor: TensorInfo): string | undefined {
  return (tensor as AdapterTensor).refusal;
}

/**
 * The directory with one entry [out, in], named after the layer, in place of the factors of each update; what was refused carries its
 * reason. No reader can read such an entry: who asks for its values asks `updateOf` for its factors.
 */
export function withUpdates(
  tensors: readonly TensorInfo[],
  updates: readonly AdapterUpdate[],
  refused: readonly RefusedUpdate[] = [],
): readonly TensorInfo[] {
  if (updates.length + refused.length === 0) return tensors;
  const taken = new Set(tensors.map(({ name }) => name));
  const instead = new Map<TensorInfo, AdapterTensor>();
  for (const { tensors: parts, reason } of refused)
    for (const part of parts) instead.set(part, { ...part, refusal: reason });
  for (const update of updates) {
    const name = update.adapter === undefined ? update.target : `${update.target} (${update.adapter})`;
    const entry = entryOf(update, taken.has(name) ? `${name} (adapter)` : name);
    for (const part of update.tensors) instead.set(part, entry);
  }
  // Set among the others where its first factor stands.
  return [...new Set(tensors.map((tensor) => instead.get(tensor) ?? tensor))];
}

function entryOf(update: AdapterUpdate, name: string): AdapterTensor {
  const { tensors, shape, scale, stored } = update;
  const first = tensors[0]!;
  return {
    name,
    shape,
    dtype: first.dtype,
    bytes: tensors.reduce((sum, { bytes }) => sum + bytes, 0),
    storage: `${stored.kind} ${scale} ${tensors.map(({ storage }) => storage).join(' ')}`,
    // The update maps inputs to outputs, however the base stores its matrix.
    transposed: false,
    file: first.file,
    update,
  };
}
