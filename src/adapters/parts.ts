import { elementCount } from '../base/shape.ts';
import type { Tensor } from '../checkpoint/tensor.ts';
import type { ComputedMethod } from '../model/findings.ts';
import type { ThinFactors } from '../spectrum/thinFactors.ts';
import { type Factor, placeOf } from './factor.ts';

/** The thin product of two factors: up (m x r) times down (r x n; n counts the entries of a kernel). */
export interface TwoFactors {
  readonly up: Factor;
  readonly down: Factor;
  /**
   * r x r x h x w, for a convolution in three factors (Tucker, "CP"): the product is sum_ij up[., i] core[i, j, h, w]
   * down[j, .].
   */
  readonly core?: Tensor;
  /** AdaLoRA's E and KaSA's diagonal: r scale factors between the two. */
  readonly singular?: Tensor;
}

/** A whole matrix, or a thin product. */
export type Operand = { readonly whole: Tensor } | TwoFactors;

/** An update that its library computes, as two factors or as the matrix itself. */
export interface ComputedUpdate {
  readonly kind: 'computed';
  readonly method: ComputedMethod;
  readonly tensors: readonly Tensor[];
  readonly outputs: number;
  readonly inputs: number;
  /** The rank that the update cannot exceed. */
  readonly rank: number;
  /** What the values depend on besides the tensors. */
  readonly settings: readonly unknown[];
  readonly load: ComputedValues;
}

export type ComputedValues =
  /** m x r and r x n, r being the rank. */
  | { readonly factors: (signal: AbortSignal | undefined) => Promise<ThinFactors> }
  /** m x n, row-major. */
  | { readonly matrix: (signal: AbortSignal | undefined) => Promise<Float32Array | Float64Array> };

/** What an adapter adds to one matrix, without its scale, in its stored form. */
export type StoredUpdate =
  /** B A. */
  | { readonly kind: 'lora'; readonly product: TwoFactors }
  /** (A1 B1) o (A2 B2), the entrywise product. */
  | { readonly kind: 'loha'; readonly first: TwoFactors; readonly second: TwoFactors }
  /** first (x) second, the Kronecker product. */
  | { readonly kind: 'lokr'; readonly first: Operand; readonly second: Operand }
  | ComputedUpdate;

export const isWhole = (operand: Operand): operand is { readonly whole: Tensor } => 'whole' in operand;

/** The tensors in which an update is stored. */
export function tensorsOf(stored: StoredUpdate): readonly Tensor[] {
  if (stored.kind === 'computed') return stored.tensors;
  const of = (operand: Operand) =>
    isWhole(operand)
      ? [operand.whole]
      : [operand.up.tensor, operand.down.tensor, operand.core, operand.singular].filter(
          (tensor) => tensor !== undefined,
        );
  return stored.kind === 'lora' ? of(stored.product) : [...of(stored.first), ...of(stored.second)];
}

/** What the values of an update depend on besides its tensors. */
export function settingsOf(stored: StoredUpdate): readonly unknown[] {
  if (stored.kind === 'computed') return [stored.method, ...stored.settings];
  const of = (operand: Operand) => (isWhole(operand) ? [] : [placeOf(operand.up), placeOf(operand.down)]);
  const operands = stored.kind === 'lora' ? of(stored.product) : [...of(stored.first), ...of(stored.second)];
  return [stored.kind, ...operands];
}

/** The product of all sizes but the first: the columns of a kernel. */
export function widthOf({ shape }: Tensor): number {
  return elementCount(shape.slice(1));
}

/** m, n and r of a thin product; for a whole matrix, r is the smaller side. */
export function sizesOf(operand: Operand): { outputs: number; inputs: number; rank: number } {
  if (isWhole(operand)) {
    const [outputs, inputs] = [operand.whole.shape[0]!, widthOf(operand.whole)];
    return { outputs, inputs, rank: Math.min(outputs, inputs) };
  }
  const { up, down, core } = operand;
  const kernel = core ? elementCount(core.shape.slice(2)) : 1;
  return { outputs: up.rows, inputs: down.cols * kernel, rank: up.cols };
}
