import { elementCount } from '../base/shape.ts';
import type { Tensor } from '../checkpoint/tensor.ts';

/** The thin product of two tensors: up (m x r) times down (r x n, or r x n x h x w for a convolution). */
export interface TwoFactors {
  readonly up: Tensor;
  readonly down: Tensor;
  /**
   * r x r x h x w, for a convolution in three factors (Tucker, "CP"): the product is sum_ij up[., i] core[i, j, h, w]
   * down[j, .]. In this case LyCORIS stores `up` of its Hadamard and Kronecker parts as r x m.
   */
  readonly core?: Tensor;
  readonly upIsTransposed: boolean;
  /** AdaLoRA: r scale factors between the two. */
  readonly singular?: Tensor;
}

/** A whole matrix, or a thin product. */
export type Operand = { readonly whole: Tensor } | TwoFactors;

/** What an adapter adds to one matrix, without its scale, in its stored form. */
export type StoredUpdate =
  /** B A. */
  | { readonly kind: 'lora'; readonly product: TwoFactors; readonly embedding: boolean }
  /** (A1 B1) o (A2 B2), the entrywise product. */
  | { readonly kind: 'loha'; readonly first: TwoFactors; readonly second: TwoFactors }
  /** first (x) second, the Kronecker product. */
  | { readonly kind: 'lokr'; readonly first: Operand; readonly second: Operand };

export const isWhole = (operand: Operand): operand is { readonly whole: Tensor } => 'whole' in operand;

/** The tensors in which an update is stored. */
export function tensorsOf(stored: StoredUpdate): Tensor[] {
  const of = (operand: Operand) =>
    isWhole(operand)
      ? [operand.whole]
      : [operand.up, operand.down, operand.core, operand.singular].filter((tensor) => tensor !== undefined);
  return stored.kind === 'lora' ? of(stored.product) : [...of(stored.first), ...of(stored.second)];
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
  const { up, down, core, upIsTransposed } = operand;
  const kernel = core ? elementCount(core.shape.slice(2)) : 1;
  return {
    outputs: up.shape[upIsTransposed ? 1 : 0]!,
    inputs: widthOf(down) * kernel,
    rank: up.shape[upIsTransposed ? 0 : 1]!,
  };
}
